-- name: ready
-- Whether vectors can be compared here at all, and whether this model has been seen.
SELECT to_regtype('vector') IS NOT NULL, (SELECT probe FROM knowledge.embedder WHERE digest = %(model)s);

-- name: near
-- All questions of a batch at once: the nearest passages of the product that each is about, with how many passages that has and how many of
-- them have a vector of this model. The counts run over the whole scope, so that the scan is exact whatever indexes there are.
WITH asked AS MATERIALIZED (
    SELECT q.number, q.product, q.vector::vector AS vector
    FROM unnest(%(numbers)s::integer[], %(product)s::text[], %(vectors)s::text[]) AS q (number, product, vector)
    WHERE q.product <> '' AND q.vector IS NOT NULL
)
SELECT asked.number, found.*
FROM asked
CROSS JOIN LATERAL (
    SELECT c.document_id, c.version, c.section, c.first, c.last, c.body,
        -(c.numbers::vector <#> asked.vector) AS score,
        c.place, count(*) OVER () AS in_scope, count(c.numbers) OVER () AS with_vector
    FROM (
        -- Looked up by key, passage by passage: a join would read the vectors of all documents for each question.
        SELECT p.document_id, p.version, p.section, p.first, p.last, p.body, p.place, (
            SELECT v.numbers FROM knowledge.vector AS v
            WHERE v.model = %(model)s AND v.document_id = p.document_id AND v.version = p.version AND v.place = p.place
        ) AS numbers
        FROM knowledge.passage AS p
        WHERE p.current AND p.document_id = asked.product
        OFFSET 0
    ) AS c
    ORDER BY score DESC NULLS LAST, c.place
    LIMIT %(most)s
) AS found
ORDER BY asked.number, found.score DESC NULLS LAST, found.document_id, found.place;

-- name: missing
-- Passages that are searched and have no vector of this model.
SELECT p.document_id, p.version, p.place, d.title, p.section, p.above, p.body
FROM knowledge.passage AS p
JOIN knowledge.document AS d ON d.id = p.document_id AND d.version = p.version
WHERE p.current AND NOT EXISTS (
    SELECT FROM knowledge.vector AS v
    WHERE v.model = %(model)s AND v.document_id = p.document_id AND v.version = p.version AND v.place = p.place
)
ORDER BY p.document_id, p.version, p.place
LIMIT %(most)s;

-- name: add_embedder
INSERT INTO knowledge.embedder (digest, name, dimensions, probe)
VALUES (%(digest)s, %(name)s, %(dimensions)s, %(probe)s::real[])
ON CONFLICT (digest) DO NOTHING;

-- name: probe
SELECT probe FROM knowledge.embedder WHERE digest = %(digest)s;

-- name: add_vector
-- A passage that is gone by now needs none; the same one twice is one.
INSERT INTO knowledge.vector (model, document_id, version, place, numbers)
SELECT %(model)s, p.document_id, p.version, p.place, %(numbers)s::real[]
FROM knowledge.passage AS p
WHERE p.document_id = %(document)s AND p.version = %(version)s AND p.place = %(place)s
ON CONFLICT DO NOTHING;
