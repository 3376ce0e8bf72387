-- name: lock
-- One librarian books at a time; the places say whether another was quicker.
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: places
SELECT partition, next FROM knowledge.ledger_place;

-- name: move
INSERT INTO knowledge.ledger_place (partition, next)
SELECT * FROM unnest(%(partitions)s::integer[], %(nexts)s::bigint[])
ON CONFLICT (partition) DO UPDATE SET next = excluded.next;

-- name: superseded
-- A version ended when the first higher one of its document was stored.
SELECT one.id, one.version, min(other.loaded_at)
FROM unnest(%(ids)s::text[], %(versions)s::text[]) AS asked (id, version)
JOIN knowledge.document AS one USING (id, version)
JOIN knowledge.document AS other ON other.id = one.id AND other.ordinal > one.ordinal
GROUP BY one.id, one.version;

-- name: withdrawn
SELECT id, max(withdrawn_at) FROM knowledge.document
WHERE id = ANY (%(ids)s::text[])
GROUP BY id
HAVING bool_and(withdrawn_at IS NOT NULL);

-- name: add_used
INSERT INTO knowledge.used
    (case_id, message_id, workflow, lane, question_key, document_id, version, first, last, at, source)
SELECT * FROM unnest(
    %(case_id)s::text[], %(message_id)s::text[], %(workflow)s::text[], %(lane)s::text[], %(question_key)s::text[],
    %(document_id)s::text[], %(version)s::text[], %(first)s::integer[], %(last)s::integer[], %(at)s::timestamptz[], %(source)s::text[]
);

-- name: add_served
INSERT INTO knowledge.served AS held (product, day, level, match, missed, false_hit, answers, grounded)
VALUES (%(product)s, %(day)s, %(level)s, %(match)s, %(missed)s, %(false_hit)s, %(answers)s, %(grounded)s)
ON CONFLICT (product, day, level, match, missed, false_hit)
DO UPDATE SET answers = held.answers + excluded.answers, grounded = held.grounded + excluded.grounded;

-- name: add_age
INSERT INTO knowledge.served_age AS held (product, day, level, match, missed, false_hit, bucket, answers)
VALUES (%(product)s, %(day)s, %(level)s, %(match)s, %(missed)s, %(false_hit)s, %(bucket)s, %(answers)s)
ON CONFLICT (product, day, level, match, missed, false_hit, bucket)
DO UPDATE SET answers = held.answers + excluded.answers;

-- name: served
SELECT product, day, level, match, missed, false_hit, answers, grounded FROM knowledge.served WHERE day >= %(since)s;

-- name: ages
SELECT product, day, level, match, missed, false_hit, bucket, answers FROM knowledge.served_age WHERE day >= %(since)s;

-- name: recovered
UPDATE knowledge.overdue SET ended_at = %(now)s WHERE ended_at IS NULL AND product <> ALL (%(past)s::text[]);

-- name: crossed
-- A product that is past already keeps the moment at which it became so.
INSERT INTO knowledge.overdue (product, due_at, told)
SELECT product, due_at, false FROM unnest(%(past)s::text[], %(due)s::timestamptz[]) AS one (product, due_at)
WHERE NOT EXISTS (SELECT FROM knowledge.overdue AS held WHERE held.product = one.product AND held.ended_at IS NULL)
ON CONFLICT (product, due_at) DO UPDATE SET told = false, ended_at = NULL;

-- name: untold
SELECT product, due_at FROM knowledge.overdue WHERE NOT told ORDER BY due_at, product;

-- name: told
UPDATE knowledge.overdue SET told = true WHERE product = %(product)s AND due_at = %(due_at)s;
