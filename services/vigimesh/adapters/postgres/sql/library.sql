-- name: lock
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: editions
SELECT id, version, digest, reading FROM knowledge.document WHERE id = ANY (%(ids)s);

-- name: current
SELECT id, version FROM knowledge.document WHERE current AND id = ANY (%(ids)s);

-- name: add_document
INSERT INTO knowledge.document
    (id, version, ordinal, digest, title, kind, names, aliases, current, body, sections, reading, effective, remarks,
     brought_by)
VALUES
    (%(id)s, %(version)s, %(ordinal)s, %(digest)s, %(title)s, %(kind)s, %(names)s, %(aliases)s, false, %(body)s,
     %(sections)s::jsonb, %(reading)s, %(effective)s, %(remarks)s, %(by)s);

-- name: seen
UPDATE knowledge.document SET seen_at = now() WHERE id = %(id)s AND ordinal = %(ordinal)s::integer[];

-- name: complete_document
-- A version from before texts were kept: its passages and their places stay as they were cut.
UPDATE knowledge.document
SET body = %(body)s, sections = %(sections)s::jsonb, reading = %(reading)s, effective = %(effective)s,
    remarks = %(remarks)s
WHERE id = %(id)s AND version = %(version)s AND digest = %(digest)s AND body IS NULL;

-- name: add_passage
INSERT INTO knowledge.passage
    (document_id, version, place, section, first, last, body, listed, general, current, tokens, path, codes, above,
     above_first, above_last)
VALUES
    (%(id)s, %(version)s, %(place)s, %(section)s, %(first)s, %(last)s, %(body)s, %(listed)s, %(general)s, false,
     %(tokens)s::tsvector, %(path)s, %(codes)s, %(above)s, %(above_first)s, %(above_last)s);

-- name: remove_passages
-- Their vectors go with them.
DELETE FROM knowledge.passage WHERE document_id = %(id)s AND version = %(version)s;

-- name: promote_documents
-- The newest version of an id is searched, and none where that was withdrawn: an older one is no answer then.
UPDATE knowledge.document AS d
SET current = (d.ordinal = newest.ordinal AND d.withdrawn_at IS NULL)
FROM (SELECT id, max(ordinal) AS ordinal FROM knowledge.document WHERE id = ANY (%(ids)s) GROUP BY id) AS newest
WHERE d.id = newest.id;

-- name: promote_passages
UPDATE knowledge.passage AS p
SET current = d.current
FROM knowledge.document AS d
WHERE d.id = p.document_id AND d.version = p.version AND d.id = ANY (%(ids)s) AND p.current <> d.current;

-- name: advance_state
UPDATE knowledge.state SET number = number + 1;

-- name: add_change
INSERT INTO knowledge.change (document_id, version, withdrawn, digest, supersedes, effective, by, reason)
VALUES (%(id)s, %(version)s, %(withdrawn)s, %(digest)s, %(supersedes)s, %(effective)s, %(by)s, %(reason)s);

-- name: unannounced
SELECT document_id, version, digest, supersedes, effective, withdrawn, by, reason
FROM knowledge.change
WHERE announced_at IS NULL
ORDER BY number
LIMIT %(most)s;

-- name: announced
UPDATE knowledge.change
SET announced_at = now()
WHERE document_id = %(id)s AND version = %(version)s AND withdrawn = %(withdrawn)s AND announced_at IS NULL;

-- name: newest
SELECT version, digest, effective, withdrawn_by, current
FROM knowledge.document
WHERE id = %(id)s
ORDER BY ordinal DESC
LIMIT 1;

-- name: withdraw
UPDATE knowledge.document
SET withdrawn_at = now(), withdrawn_by = %(by)s, withdrawn_why = %(reason)s, current = false
WHERE id = %(id)s AND withdrawn_at IS NULL;

-- name: known
SELECT DISTINCT ON (id) id, version, current FROM knowledge.document ORDER BY id, current DESC, ordinal DESC;

-- name: source
SELECT title, kind, names, aliases, digest, body, sections, effective, remarks
FROM knowledge.document
WHERE id = %(id)s AND version = %(version)s;

-- name: versions
SELECT version FROM knowledge.document WHERE id = %(id)s ORDER BY ordinal DESC LIMIT 5;

-- name: number
SELECT number FROM knowledge.state;

-- name: standing
SELECT id, version, current, withdrawn_at IS NOT NULL FROM knowledge.document;

-- name: sources
SELECT id, version, title, loaded_at, seen_at FROM knowledge.document WHERE current ORDER BY id;

-- name: documents
SELECT d.id, d.version, d.title, d.kind, d.digest, d.effective, d.brought_by, d.loaded_at, d.seen_at, d.current, d.remarks,
    d.withdrawn_by, d.withdrawn_why, (
        SELECT count(*) FROM knowledge.passage AS p WHERE p.document_id = d.id AND p.version = d.version
    ) AS passages
FROM knowledge.document AS d
ORDER BY d.id, d.ordinal DESC;
