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

-- name: forget
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
