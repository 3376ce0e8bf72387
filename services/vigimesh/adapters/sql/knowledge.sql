-- name: state
SELECT number FROM knowledge.state;

-- name: names
SELECT id, names, aliases, version FROM knowledge.document WHERE current ORDER BY id;

-- name: search
-- All questions of a batch at once. A question about one product sees that product's document only, all of it; any other
-- sees what fits its words among the general documents and those it names. The score is rounded, so that equal means equal.
WITH asked AS MATERIALIZED (
    SELECT q.number, q.product, string_to_array(q.named, ',') AS named, q.words::tsquery AS words, q.phrase::tsquery AS phrase
    FROM unnest(%(numbers)s::integer[], %(product)s::text[], %(named)s::text[], %(words)s::text[], %(phrases)s::text[])
        AS q (number, product, named, words, phrase)
)
SELECT asked.number, found.*
FROM asked
CROSS JOIN LATERAL (
    (
        SELECT p.document_id, p.version, p.section, p.first, p.last, p.body,
            round(1e4 * (
                coalesce(ts_rank(p.tokens, asked.words), 0)
                + CASE WHEN p.tokens @@ asked.phrase THEN 1 ELSE 0 END
                + CASE WHEN p.listed THEN 0.5 ELSE 0 END
            )) AS score,
            p.place
        FROM knowledge.passage AS p
        WHERE asked.product <> '' AND p.current AND p.document_id = asked.product
        ORDER BY score DESC, p.place
        LIMIT %(most)s
    )
    UNION ALL
    (
        SELECT p.document_id, p.version, p.section, p.first, p.last, p.body,
            round(1e4 * (
                coalesce(ts_rank(p.tokens, asked.words), 0)
                + CASE WHEN p.tokens @@ asked.phrase THEN 1 ELSE 0 END
            )) AS score,
            p.place
        FROM knowledge.passage AS p
        WHERE asked.product = '' AND p.current AND p.tokens @@ asked.words
            AND (p.general OR p.document_id = ANY (asked.named))
        ORDER BY score DESC, p.document_id, p.place
        LIMIT %(most)s
    )
) AS found
ORDER BY asked.number, found.score DESC, found.document_id, found.place;

-- name: lock
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: digest
SELECT digest FROM knowledge.document WHERE id = %(id)s AND version = %(version)s;

-- name: add_document
INSERT INTO knowledge.document (id, version, ordinal, digest, title, kind, names, aliases, current)
VALUES (%(id)s, %(version)s, %(ordinal)s, %(digest)s, %(title)s, %(kind)s, %(names)s, %(aliases)s, false);

-- name: add_passage
INSERT INTO knowledge.passage
    (document_id, version, place, section, first, last, body, listed, general, current, tokens)
VALUES
    (%(id)s, %(version)s, %(place)s, %(section)s, %(first)s, %(last)s, %(body)s, %(listed)s, %(general)s, false,
     %(tokens)s::tsvector);

-- name: promote_document
UPDATE knowledge.document AS d
SET current = (d.ordinal = newest.ordinal)
FROM (SELECT max(ordinal) AS ordinal FROM knowledge.document WHERE id = %(id)s) AS newest
WHERE d.id = %(id)s;

-- name: promote_passages
UPDATE knowledge.passage AS p
SET current = d.current
FROM knowledge.document AS d
WHERE d.id = p.document_id AND d.version = p.version AND d.id = %(id)s;

-- name: advance_state
UPDATE knowledge.state SET number = number + 1;
