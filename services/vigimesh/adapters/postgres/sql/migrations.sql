-- name: lock
SELECT pg_advisory_lock(%(lock)s);

-- name: unlock
SELECT pg_advisory_unlock(%(lock)s);

-- name: create
CREATE TABLE IF NOT EXISTS public.vigimesh_migration (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    digest     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: applied
SELECT number, name, digest FROM public.vigimesh_migration ORDER BY number;

-- name: record
INSERT INTO public.vigimesh_migration (number, name, digest) VALUES (%(number)s, %(name)s, %(digest)s);
