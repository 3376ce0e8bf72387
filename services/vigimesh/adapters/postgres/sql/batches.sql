-- name: gather
-- A call that was in a batch and not made may be gathered again.
WITH kept AS (
    INSERT INTO journal.gathered AS g (call_id, opens_at, not_after, body)
    VALUES (%(call_id)s, %(opens_at)s, %(not_after)s, %(body)s)
    ON CONFLICT (call_id) DO UPDATE SET
        opens_at = excluded.opens_at, not_after = excluded.not_after, body = excluded.body, state = 'waiting', batch = NULL
    WHERE g.state = 'ended' AND g.tries < %(most_tries)s
        AND NOT EXISTS (SELECT FROM journal.call AS c WHERE c.call_id = g.call_id AND c.state <> 'not_made')
    RETURNING state
)
SELECT state FROM kept
UNION ALL
SELECT CASE WHEN state = 'waiting' AND not_after <= %(now)s THEN 'ended' ELSE state END
FROM journal.gathered WHERE call_id = %(call_id)s AND NOT EXISTS (SELECT FROM kept);

-- name: state
SELECT state FROM journal.gathered WHERE call_id = %(call_id)s;

-- name: waiting
SELECT body FROM journal.gathered
WHERE state = 'waiting' AND opens_at <= %(now)s AND not_after > %(now)s
ORDER BY number
LIMIT %(most)s;

-- name: begin_batch
-- The batch, its calls and their place in it in one statement: after a crash either all of it is there, or nothing. `current_epoch`
-- locks as in `begin` of calls.sql. A call that another began, or that is answered, is left out and waits no longer.
WITH current_epoch AS MATERIALIZED (
    SELECT e.number FROM journal.epoch AS e WHERE e.epoch = %(epoch)s AND e.opened_at IS NOT NULL FOR SHARE OF e
), asked AS MATERIALIZED (
    SELECT a.* FROM jsonb_to_recordset(%(calls)s::jsonb) AS a (
        call_id text, case_id text, workflow text, version text, step text, pass_number integer, prompt_digest text,
        model text, at timestamptz, worst_micro bigint)
    JOIN journal.gathered AS g ON g.call_id = a.call_id AND (g.state = 'waiting' OR g.batch = %(name)s)
), begun AS (
    INSERT INTO journal.call AS c
        (call_id, case_id, workflow, version, step, pass_number, prompt_digest, model, epoch, at, worst_micro, state, token,
         lease_until)
    SELECT a.call_id, a.case_id, a.workflow, a.version, a.step, a.pass_number, a.prompt_digest, a.model, %(epoch)s, a.at,
        a.worst_micro, 'begun', %(name)s, now() + make_interval(secs => %(lease_s)s)
    FROM asked AS a, current_epoch
    ORDER BY a.call_id
    ON CONFLICT (call_id) DO UPDATE SET
        number = excluded.number, model = excluded.model, epoch = excluded.epoch, at = excluded.at,
        worst_micro = excluded.worst_micro, state = 'begun', why = '', token = excluded.token,
        lease_until = excluded.lease_until, ended_at = NULL, resolved_at = NULL
    WHERE c.state = 'not_made' AND c.token <> excluded.token
    RETURNING c.call_id
), made AS (
    INSERT INTO journal.batch (name, made_at)
    SELECT %(name)s, %(made_at)s WHERE EXISTS (SELECT FROM begun)
    ON CONFLICT (name) DO NOTHING
    RETURNING name
), marked AS (
    UPDATE journal.gathered AS g
    SET state = CASE WHEN b.call_id IS NULL THEN 'ended' ELSE 'sent' END,
        batch = CASE WHEN b.call_id IS NULL THEN NULL ELSE m.name END, tries = g.tries + 1
    FROM asked AS a LEFT JOIN begun AS b USING (call_id) LEFT JOIN made AS m ON true
    WHERE g.call_id = a.call_id AND g.state = 'waiting' AND EXISTS (SELECT FROM current_epoch)
    RETURNING g.call_id
)
SELECT EXISTS (SELECT FROM current_epoch) AS is_open,
    (SELECT coalesce(array_agg(call_id), '{}') FROM begun) AS begun,
    -- Asked again after a cut: what the first time began.
    (SELECT coalesce(array_agg(call_id), '{}') FROM journal.call WHERE token = %(name)s AND call_id IN (SELECT call_id FROM asked))
        AS had_begun;

-- name: open_batches
SELECT name, made_at, file_id, asked_at, batch_id FROM journal.batch WHERE ended_at IS NULL ORDER BY made_at, name;

-- name: note
UPDATE journal.batch
SET file_id = coalesce(%(file_id)s::text, file_id), batch_id = coalesce(%(batch_id)s::text, batch_id),
    asked_at = coalesce(%(asked_at)s::timestamptz, asked_at)
WHERE name = %(name)s AND ended_at IS NULL
RETURNING name, made_at, file_id, asked_at, batch_id;

-- name: members
SELECT g.body, c.at, c.worst_micro
FROM journal.gathered AS g
JOIN journal.call AS c ON c.call_id = g.call_id AND c.token = %(name)s
WHERE g.batch = %(name)s
ORDER BY g.number;

-- name: end_batch
-- What was not made waits again, while it has tries left.
WITH ended AS (
    UPDATE journal.batch SET ended_at = now(), why = %(why)s WHERE name = %(name)s AND ended_at IS NULL RETURNING name
)
UPDATE journal.gathered AS g
SET state = CASE WHEN c.state = 'not_made' AND g.tries < %(most_tries)s THEN 'waiting' ELSE 'ended' END
FROM ended, journal.call AS c
WHERE g.batch = ended.name AND g.state = 'sent' AND c.call_id = g.call_id
RETURNING g.state;

-- name: lines
SELECT b.name, b.made_at, b.batch_id, b.ended_at, b.why, count(c.call_id) AS calls,
    count(DISTINCT c.prompt_digest) AS questions, count(c.call_id) FILTER (WHERE c.state = 'answered') AS answered,
    coalesce(sum(c.cost_micro), 0)::bigint AS cost_micro
FROM (SELECT * FROM journal.batch ORDER BY made_at DESC, name LIMIT %(most)s) AS b
LEFT JOIN journal.gathered AS g ON g.batch = b.name
LEFT JOIN journal.call AS c ON c.call_id = g.call_id AND c.token = b.name
GROUP BY b.name, b.made_at, b.batch_id, b.ended_at, b.why
ORDER BY b.made_at DESC, b.name;
