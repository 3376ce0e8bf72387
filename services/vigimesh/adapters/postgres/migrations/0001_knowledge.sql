-- The knowledge base: every version of every document, and its passages with the words they are found by.
CREATE SCHEMA knowledge;

CREATE TABLE knowledge.document (
    id         text        NOT NULL,
    version    text        NOT NULL,
    -- The version as numbers, so that 1.10 is newer than 1.9.
    ordinal    integer[]   NOT NULL,
    digest     text        NOT NULL,
    title      text        NOT NULL,
    kind       text        NOT NULL,
    names      text[]      NOT NULL,
    aliases    text[]      NOT NULL,
    -- Newest version of its id: the only one that is searched. Older ones stay, because decisions cite them.
    current    boolean     NOT NULL,
    loaded_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, version)
);

CREATE TABLE knowledge.passage (
    document_id text     NOT NULL,
    version     text     NOT NULL,
    place       integer  NOT NULL,
    section     text     NOT NULL,
    first       integer  NOT NULL,
    last        integer  NOT NULL,
    body        text     NOT NULL,
    -- Stands under the heading of listed reactions.
    listed      boolean  NOT NULL,
    -- Speaks of no product in particular: any question may find it.
    general     boolean  NOT NULL,
    current     boolean  NOT NULL,
    -- Written by the loader, so that words are cut alike in SQL and in the in-memory twin.
    tokens      tsvector NOT NULL,
    PRIMARY KEY (document_id, version, place),
    FOREIGN KEY (document_id, version) REFERENCES knowledge.document (id, version)
);

CREATE INDEX passage_of_document ON knowledge.passage (document_id) WHERE current;
CREATE INDEX passage_tokens ON knowledge.passage USING gin (tokens) WHERE current;

-- One row whose number grows with every change of the set: readers drop what they remember when it does.
CREATE TABLE knowledge.state (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint  NOT NULL
);
INSERT INTO knowledge.state (number) VALUES (0);
