-- What was recalled: which version of which case for which change, once. Whether an order was written, the topics say;
-- this is the index that keeps what is done from being looked for again.
CREATE TABLE knowledge.recalled (
    message_id  text        NOT NULL,
    -- document@version that it was recalled for; of a withdrawal with that word.
    cause       text        NOT NULL,
    case_id     text        NOT NULL,
    document_id text        NOT NULL,
    state       text        NOT NULL CHECK (state IN ('ordered', 'left')),
    -- Why it was left.
    why         text        NOT NULL,
    -- Event id of the order, empty when it was left.
    event_id    text        NOT NULL,
    lane        text        NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (message_id, cause)
);
