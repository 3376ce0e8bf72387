-- name: state
SELECT number FROM knowledge.state;

-- name: names
-- Of each document its current version; of one that was withdrawn the newest.
SELECT DISTINCT ON (id) id, names, aliases, version, current
FROM knowledge.document
ORDER BY id, current DESC, ordinal DESC;

-- name: search
-- All questions of a batch at once. A question about one product sees that product's document only, all of it; any other
-- sees what fits its words among the general documents and those it names. The score is rounded, so that equal means equal.
WITH asked AS MATERIALIZED (
    SELECT q.number, q.product, string_to_array(q.named, ',') AS named, q.words::tsquery AS words, q.phrase::tsquery AS phrase
    FROM unnest(%(numbers)s::integer[], %(product)s::text[], %(named)s::text[], %(words)s::text[], %(phrases)s::text[])
        AS q (number, product, named, words, phrase)
)
SELECT asked.number, found.*, (
        -- Counted apart from what is ranked, so that whoever reads can tell whether it is all.
        SELECT count(*) FROM knowledge.passage AS p
        WHERE asked.product <> '' AND p.current AND p.document_id = asked.product
    ) AS in_scope
FROM asked
LEFT JOIN LATERAL (
    (
        SELECT p.document_id, p.version, p.section, p.first, p.last, p.body, p.listed,
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
        SELECT p.document_id, p.version, p.section, p.first, p.last, p.body, p.listed,
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
) AS found ON true
ORDER BY asked.number, found.score DESC, found.document_id, found.place;
