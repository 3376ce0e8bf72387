-- What was served, booked from retrieval.telemetry, and what is made of documents beforehand.

-- One row per passage and question of a case; what advice recall asks. Some 250 bytes with its indexes.
CREATE TABLE knowledge.used (
    case_id      text        NOT NULL,
    message_id   text        NOT NULL,
    workflow     text        NOT NULL,
    lane         text        NOT NULL,
    question_key text        NOT NULL,
    document_id  text        NOT NULL,
    version      text        NOT NULL,
    first        integer     NOT NULL,
    last         integer     NOT NULL,
    -- When its record was appended.
    at           timestamptz NOT NULL,
    -- topic-partition-offset of the record.
    source       text        NOT NULL,
    PRIMARY KEY (source, document_id, version, first)
);
CREATE INDEX used_of_version ON knowledge.used (document_id, version);

-- Answers by kind and day; an age at serve is a bucket, see domain/knowledge/ledger.py.
CREATE TABLE knowledge.served (
    product   text   NOT NULL,
    day       date   NOT NULL,
    level     text   NOT NULL,
    match     text   NOT NULL,
    missed    text   NOT NULL,
    false_hit text   NOT NULL,
    answers   bigint NOT NULL,
    grounded  bigint NOT NULL,
    PRIMARY KEY (product, day, level, match, missed, false_hit)
);
CREATE TABLE knowledge.served_age (
    product   text    NOT NULL,
    day       date    NOT NULL,
    level     text    NOT NULL,
    match     text    NOT NULL,
    missed    text    NOT NULL,
    false_hit text    NOT NULL,
    bucket    integer NOT NULL,
    answers   bigint  NOT NULL,
    PRIMARY KEY (product, day, level, match, missed, false_hit, bucket)
);

-- The next offset of each partition of retrieval.telemetry, moved in the transaction that books what lies before it.
CREATE TABLE knowledge.ledger_place (
    partition integer PRIMARY KEY,
    next      bigint  NOT NULL
);

-- A product past its service level, from the moment at which it was due; told once.
CREATE TABLE knowledge.overdue (
    product  text        NOT NULL,
    due_at   timestamptz NOT NULL,
    told     boolean     NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (product, due_at)
);

-- Summaries of what changed between the last two versions of a document. The body is in the object store.
CREATE TABLE knowledge.summary (
    document_id text        PRIMARY KEY,
    product     text        NOT NULL,
    older       text        NOT NULL,
    version     text        NOT NULL,
    digest      text        NOT NULL,
    bytes       integer     NOT NULL,
    -- The names by which the document may be asked of, see domain/knowledge/summaries.py.
    names       text[]      NOT NULL,
    -- When both versions were read: the age of the summary counts from then.
    read_at     timestamptz NOT NULL
);
CREATE INDEX summary_names ON knowledge.summary USING gin (names);
