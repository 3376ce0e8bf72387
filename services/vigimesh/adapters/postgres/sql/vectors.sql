-- name: ready
-- Whether vectors can be compared here at all, and whether this model has been seen.
SELECT to_regtype('vector') IS NOT NULL, (SELECT probe FROM knowledge.embedder WHERE digest = %(model)s);

-- name: near
-- All questions of a batch at once: the nearest passages of the product that each is about, with how many passages that has and how many of
-- them have a vector of this model. The counts run over the whole scope, so that the scan is exact whatever indexes there are. A vector is made
-- comparable once for all questions about its product, which takes longer than comparing; texts are read of what is handed over only.
WITH asked AS MATERIALIZED (
    SELECT q.number, q.product, q.vector::vector AS vector
    FROM unnest(%(numbers)s::integer[], %(product)s::text[], %(vectors)s::text[]) AS q (number, product, vector)
    WHERE q.product <> '' AND q.vector IS NOT NULL
),
scope AS MATERIALIZED (
    -- Looked up by key, passage by passage: a join would read the vectors of all documents.
    SELECT p.document_id, p.version, p.place, (
        SELECT v.numbers::vector FROM knowledge.vector AS v
        WHERE v.model = %(model)s AND v.document_id = p.document_id AND v.version = p.version AND v.place = p.place
    ) AS numbers
    FROM knowledge.passage AS p
    WHERE p.current AND p.document_id IN (SELECT product FROM asked)
),
compared AS MATERIALIZED (
    SELECT asked.number, s.document_id, s.version, s.place, -(s.numbers <#> asked.vector) AS score
    FROM asked
    JOIN scope AS s ON s.document_id = asked.product
),
ranked AS (
    SELECT c.*, row_number() OVER (PARTITION BY c.number ORDER BY c.score DESC NULLS LAST, c.place) AS rank,
        count(*) OVER (PARTITION BY c.number) AS in_scope, count(c.score) OVER (PARTITION BY c.number) AS with_vector
    FROM compared AS c
)
SELECT r.number, p.document_id, p.version, p.section, p.first, p.last, p.body, p.listed, r.score, p.place, r.in_scope, r.with_vector
FROM ranked AS r
JOIN knowledge.passage AS p ON p.document_id = r.document_id AND p.version = r.version AND p.place = r.place
WHERE r.rank <= %(most)s
ORDER BY r.number, r.rank;

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
