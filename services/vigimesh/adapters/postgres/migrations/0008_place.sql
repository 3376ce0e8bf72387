-- Where on the topics the routes and conclusions of a case lie, so that a recall reads these and not the whole topics. Some 200
-- bytes with its indexes; what a topic no longer keeps goes here as well. The topics stay the truth: what lies behind `next` is read there.
CREATE TABLE knowledge.case_place (
    topic     text    NOT NULL,
    partition integer NOT NULL,
    at_offset bigint  NOT NULL,
    case_id   text    NOT NULL,
    PRIMARY KEY (topic, partition, at_offset)
);
CREATE INDEX case_place_of ON knowledge.case_place (case_id);

-- The next offset of each partition: every record before it has its row above.
CREATE TABLE knowledge.case_followed (
    topic     text    NOT NULL,
    partition integer NOT NULL,
    next      bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
);
