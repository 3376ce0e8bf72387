-- The library: the text of each version with its sections, who brought it, what was withdrawn, and what is not announced yet.
ALTER TABLE knowledge.document
    -- NULL in versions that were loaded before texts were kept; it is filled in when the same bytes come again.
    ADD COLUMN body          text,
    -- [[path, codes, opens, start, end], ...] as `domain.knowledge.sections.Section`.
    ADD COLUMN sections      jsonb,
    -- Digest of text and sections; empty while these are not kept.
    ADD COLUMN reading       text        NOT NULL DEFAULT '',
    -- Date that the source bears, YYYY-MM-DD, or empty.
    ADD COLUMN effective     text        NOT NULL DEFAULT '',
    ADD COLUMN remarks       text[]      NOT NULL DEFAULT '{}',
    ADD COLUMN brought_by    text        NOT NULL DEFAULT '',
    -- When its source was last read: at first, and each time that the same edition came again.
    ADD COLUMN seen_at       timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN withdrawn_at  timestamptz,
    ADD COLUMN withdrawn_by  text        NOT NULL DEFAULT '',
    ADD COLUMN withdrawn_why text        NOT NULL DEFAULT '',
    ADD CHECK ((body IS NULL) = (sections IS NULL)),
    ADD CHECK (withdrawn_at IS NULL OR NOT current);

ALTER TABLE knowledge.passage
    -- Headings from the top and their LOINC codes ('' without one); empty in passages from before.
    ADD COLUMN path        text[]  NOT NULL DEFAULT '{}',
    ADD COLUMN codes       text[]  NOT NULL DEFAULT '{}',
    -- Heading of the table that the passage goes on with, and where it stands; 0, 0 without one.
    ADD COLUMN above       text    NOT NULL DEFAULT '',
    ADD COLUMN above_first integer NOT NULL DEFAULT 0,
    ADD COLUMN above_last  integer NOT NULL DEFAULT 0;

-- The outbox: written with the change itself, marked when `knowledge.changed` has it.
CREATE TABLE knowledge.change (
    number       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
    document_id  text        NOT NULL,
    version      text        NOT NULL,
    withdrawn    boolean     NOT NULL,
    digest       text        NOT NULL,
    supersedes   text        NOT NULL,
    effective    text        NOT NULL,
    by           text        NOT NULL,
    reason       text        NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    announced_at timestamptz,
    PRIMARY KEY (document_id, version, withdrawn),
    FOREIGN KEY (document_id, version) REFERENCES knowledge.document (id, version)
);

CREATE INDEX change_unannounced ON knowledge.change (number) WHERE announced_at IS NULL;
