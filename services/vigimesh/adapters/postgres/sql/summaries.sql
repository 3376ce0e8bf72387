-- name: put
INSERT INTO knowledge.summary (document_id, product, older, version, digest, bytes, names, read_at)
VALUES (%(document_id)s, %(product)s, %(older)s, %(version)s, %(digest)s, %(bytes)s, %(names)s::text[], %(read_at)s)
ON CONFLICT (document_id) DO UPDATE SET
    product = excluded.product, older = excluded.older, version = excluded.version, digest = excluded.digest,
    bytes = excluded.bytes, names = excluded.names, read_at = excluded.read_at;

-- name: book
INSERT INTO knowledge.summary_cost AS held (product, day, currency, made, characters, micro)
VALUES (%(product)s, %(day)s, %(currency)s, %(made)s, %(characters)s, %(micro)s)
ON CONFLICT (product, day, currency) DO UPDATE SET
    made = held.made + excluded.made, characters = held.characters + excluded.characters, micro = held.micro + excluded.micro;

-- name: costs
SELECT product, currency, sum(made), sum(characters), sum(micro) FROM knowledge.summary_cost
WHERE day >= %(since)s GROUP BY product, currency ORDER BY product, currency;

-- name: drop
DELETE FROM knowledge.summary WHERE document_id = ANY (%(ids)s::text[]);

-- name: rows
SELECT document_id, product, older, version, digest, bytes, names, read_at FROM knowledge.summary ORDER BY document_id;

-- name: called
SELECT document_id, product, older, version, digest, bytes, names, read_at FROM knowledge.summary
WHERE names && %(names)s::text[] ORDER BY document_id;
