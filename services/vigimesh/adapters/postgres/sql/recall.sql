-- name: versions
SELECT id, version, current, loaded_at, withdrawn_at FROM knowledge.document ORDER BY id, ordinal;

-- name: uses
-- What was served of the stale versions, per version of a case, in pages. The order is that of the page's beginning.
SELECT u.case_id, u.message_id, u.document_id, array_agg(DISTINCT u.version),
    array_agg(DISTINCT u.document_id || '@' || u.version || '#' || u.first || '-' || u.last),
    coalesce(min(r.state), 'found'), coalesce(min(r.why), '')
FROM unnest(%(documents)s::text[], %(versions)s::text[], %(causes)s::text[]) AS stale (document_id, version, cause)
JOIN knowledge.used AS u ON u.document_id = stale.document_id AND u.version = stale.version
LEFT JOIN knowledge.recalled AS r ON r.message_id = u.message_id AND r.cause = stale.cause
WHERE (%(settled)s OR r.message_id IS NULL)
    AND (u.case_id, u.message_id, u.document_id) > (%(case)s, %(message)s, %(document)s)
GROUP BY u.case_id, u.message_id, u.document_id
ORDER BY u.case_id, u.message_id, u.document_id
LIMIT %(most)s;

-- name: settle
INSERT INTO knowledge.recalled (message_id, cause, case_id, document_id, state, why, event_id, lane, at)
VALUES (%(message_id)s, %(cause)s, %(case_id)s, %(document_id)s, %(state)s, %(why)s, %(event_id)s, %(lane)s, %(at)s)
ON CONFLICT (message_id, cause) DO NOTHING;

-- name: forget_used
-- A piece of what is older than all that may still ask for it; the marks stay, so that nothing is recalled once more.
DELETE FROM knowledge.used AS u
USING (
    SELECT one.source, one.document_id, one.version, one.first
    FROM unnest(%(documents)s::text[], %(versions)s::text[], %(causes)s::text[]) AS stale (document_id, version, cause)
    JOIN knowledge.used AS one ON one.document_id = stale.document_id AND one.version = stale.version
    JOIN knowledge.recalled AS r ON r.message_id = one.message_id AND r.cause = stale.cause
    WHERE one.at < %(before)s AND r.at < %(before)s
        AND NOT EXISTS (
            SELECT FROM knowledge.change AS c WHERE c.document_id = stale.document_id AND c.announced_at IS NULL
        )
    ORDER BY one.at
    LIMIT %(most)s
) AS old
WHERE u.source = old.source AND u.document_id = old.document_id AND u.version = old.version AND u.first = old.first;

-- name: followed
SELECT topic, partition, next FROM knowledge.case_followed;

-- name: places
SELECT topic, partition, at_offset FROM knowledge.case_place WHERE case_id = ANY (%(cases)s::text[])
ORDER BY topic, partition, at_offset;

-- name: add_places
-- Two may follow at once: each adds all from where both began, so that a row may be there, and what was followed never goes back.
INSERT INTO knowledge.case_place (topic, partition, at_offset, case_id)
SELECT * FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[], %(cases)s::text[])
ON CONFLICT DO NOTHING;

-- name: move_followed
INSERT INTO knowledge.case_followed AS held (topic, partition, next)
SELECT * FROM unnest(%(topics)s::text[], %(partitions)s::integer[], %(nexts)s::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET next = greatest(held.next, excluded.next);

-- name: drop_places
-- What the topics keep no longer.
DELETE FROM knowledge.case_place AS held
USING unnest(%(topics)s::text[], %(partitions)s::integer[], %(firsts)s::bigint[]) AS one (topic, partition, first)
WHERE held.topic = one.topic AND held.partition = one.partition AND held.at_offset < one.first;

-- name: forget_places
DELETE FROM knowledge.case_place AS held
USING unnest(%(topics)s::text[], %(partitions)s::integer[]) AS one (topic, partition)
WHERE held.topic = one.topic AND held.partition = one.partition;

-- name: forget_followed
DELETE FROM knowledge.case_followed AS held
USING unnest(%(topics)s::text[], %(partitions)s::integer[]) AS one (topic, partition)
WHERE held.topic = one.topic AND held.partition = one.partition;
