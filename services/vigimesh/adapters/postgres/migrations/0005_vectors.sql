-- Vectors of passages. Plain arrays, cast when they are compared: so the schema needs no extension, and a server without
-- pgvector still searches by words.
CREATE TABLE knowledge.embedder (
    -- What the model is: by its weights, or by endpoint and name.
    digest     text        PRIMARY KEY,
    name       text        NOT NULL,
    dimensions integer     NOT NULL CHECK (dimensions BETWEEN 1 AND 4096),
    -- The vector of a fixed sentence: who answers otherwise under this digest is another model.
    probe      real[]      NOT NULL CHECK (cardinality(probe) = dimensions),
    since      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE knowledge.vector (
    -- First, because a question is compared with vectors of its own model only.
    model       text    NOT NULL REFERENCES knowledge.embedder (digest),
    document_id text    NOT NULL,
    version     text    NOT NULL,
    place       integer NOT NULL,
    numbers     real[]  NOT NULL,
    PRIMARY KEY (model, document_id, version, place),
    FOREIGN KEY (document_id, version, place) REFERENCES knowledge.passage (document_id, version, place) ON DELETE CASCADE
);

-- Not packed: unpacking would take longer than comparing.
ALTER TABLE knowledge.vector ALTER COLUMN numbers SET STORAGE EXTERNAL;
