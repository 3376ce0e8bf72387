-- name: begin_new
-- Begins a call that nobody has begun before, which nearly all are: the part of `begin` that is left then, at two thirds of its cost.
-- No row: it is there already, or may not begin; `begin` says which, and does what is to be done.
WITH current_epoch AS MATERIALIZED (
    SELECT e.epoch FROM journal.epoch AS e
    WHERE e.epoch = %(epoch)s AND e.opened_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM journal.call WHERE call_id = %(call_id)s)
    FOR SHARE OF e
)
INSERT INTO journal.call
    (call_id, case_id, workflow, version, step, pass_number, prompt_digest, model, epoch, at, worst_micro, state, token,
     lease_until)
SELECT %(call_id)s, %(case_id)s, %(workflow)s, %(version)s, %(step)s, %(pass_number)s, %(prompt_digest)s, %(model)s,
    current_epoch.epoch, %(at)s, %(worst_micro)s, 'begun', %(token)s, now() + make_interval(secs => %(lease_s)s)
FROM current_epoch
WHERE coalesce((SELECT max(number) FROM journal.call), 0) >= %(seen)s
    AND (%(usage_at)s::timestamptz IS NULL OR EXISTS (SELECT FROM journal.call WHERE at >= %(usage_at)s::timestamptz))
    AND %(begin_by)s::timestamptz > clock_timestamp()
ON CONFLICT (call_id) DO NOTHING
RETURNING number, lease_until;

-- name: begin
-- Looks the call up and begins it in one statement. `current_epoch` locks the epoch's row until this commits, so that whoever
-- claims a new epoch waits for it and then sees it in `booked`; with the row changed meanwhile the condition is checked again.
-- A call that cannot begin anyway locks nothing, so that looking up and waiting write nothing.
-- What was begun and not made begins again on a reservation of this try's own alone: another's may be on its way back.
-- On a reservation that has lapsed nothing begins: the sweep gives it back, and then the call would count here and not there.
-- The moment is that of the look behind the lock, not of the statement's beginning, which may have waited for it.
WITH current_epoch AS MATERIALIZED (
    SELECT e.number FROM journal.epoch AS e
    WHERE e.epoch = %(epoch)s AND e.opened_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM journal.call WHERE call_id = %(call_id)s AND state <> 'not_made')
    FOR SHARE OF e
), copy AS MATERIALIZED (
    SELECT coalesce((SELECT max(number) FROM journal.call), 0) >= %(seen)s
        AND (%(usage_at)s::timestamptz IS NULL
             OR EXISTS (SELECT FROM journal.call WHERE at >= %(usage_at)s::timestamptz)) AS is_new
), lapsed AS (
    UPDATE journal.call
    SET state = 'in_doubt', why = %(lapsed)s, ended_at = now()
    WHERE call_id = %(call_id)s AND state = 'begun' AND lease_until <= now()
    RETURNING call_id
), begun AS (
    INSERT INTO journal.call AS c
        (call_id, case_id, workflow, version, step, pass_number, prompt_digest, model, epoch, at, worst_micro, state, token,
         lease_until)
    SELECT %(call_id)s, %(case_id)s, %(workflow)s, %(version)s, %(step)s, %(pass_number)s, %(prompt_digest)s, %(model)s,
        %(epoch)s, %(at)s, %(worst_micro)s, 'begun', %(token)s, now() + make_interval(secs => %(lease_s)s)
    FROM current_epoch, copy
    WHERE copy.is_new AND NOT EXISTS (SELECT FROM lapsed)
        AND %(begin_by)s::timestamptz > clock_timestamp()
    ON CONFLICT (call_id) DO UPDATE SET
        number = excluded.number, model = excluded.model, epoch = excluded.epoch, at = excluded.at,
        worst_micro = excluded.worst_micro, state = 'begun', why = '', token = excluded.token,
        lease_until = excluded.lease_until, ended_at = NULL, resolved_at = NULL
    WHERE c.state = 'not_made' AND c.token <> excluded.token AND %(own)s
    RETURNING c.number, c.lease_until
)
SELECT EXISTS (SELECT FROM current_epoch) AS is_open, copy.is_new, EXISTS (SELECT FROM lapsed) AS is_lapsed,
    %(begin_by)s::timestamptz <= clock_timestamp() AS is_late,
    begun.number, begun.lease_until,
    old.state, old.why, old.token = %(token)s AS is_mine, old.number AS old_number, old.lease_until AS old_until,
    old.at, old.worst_micro, old.cost_micro, old.answer, old.answer_digest,
    old.prompt_tokens, old.cached_tokens, old.completion_tokens
FROM copy
LEFT JOIN begun ON true
LEFT JOIN journal.call AS old ON old.call_id = %(call_id)s;

-- name: answer
-- Taken from whoever began the call, in whatever state it is by now: a late answer is the truth.
WITH ended AS (
    UPDATE journal.call
    SET state = 'answered', why = '', answer = %(answer)s, answer_digest = %(answer_digest)s, cost_micro = %(cost_micro)s,
        prompt_tokens = %(prompt)s, cached_tokens = %(cached)s, completion_tokens = %(completion)s, ended_at = now()
    WHERE call_id = %(call_id)s AND token = %(token)s AND state <> 'answered'
    RETURNING state
)
SELECT state, true AS is_mine FROM ended
UNION ALL
SELECT state, token = %(token)s FROM journal.call WHERE call_id = %(call_id)s AND NOT EXISTS (SELECT FROM ended);

-- name: not_made
WITH ended AS (
    UPDATE journal.call
    SET state = 'not_made', why = %(why)s, ended_at = now()
    WHERE call_id = %(call_id)s AND token = %(token)s AND state IN ('begun', 'in_doubt')
    RETURNING state
)
SELECT state, true AS is_mine FROM ended
UNION ALL
SELECT state, token = %(token)s FROM journal.call WHERE call_id = %(call_id)s AND NOT EXISTS (SELECT FROM ended);

-- name: in_doubt
WITH ended AS (
    UPDATE journal.call
    SET state = 'in_doubt', why = %(why)s, ended_at = now()
    WHERE call_id = %(call_id)s AND token = %(token)s AND state = 'begun'
    RETURNING state
)
SELECT state, true AS is_mine FROM ended
UNION ALL
SELECT state, token = %(token)s FROM journal.call WHERE call_id = %(call_id)s AND NOT EXISTS (SELECT FROM ended);

-- name: booked
-- Every call that counts in a window still open: of this month, or of a case that was worked on lately.
SELECT call_id, workflow, case_id, at, worst_micro, cost_micro,
    CASE WHEN state = 'begun' AND lease_until <= now() THEN 'in_doubt' ELSE state END AS state
FROM journal.call
WHERE state <> 'not_made'
    AND (at >= date_trunc('month', now(), 'UTC')
         OR case_id IN (SELECT case_id FROM journal.call WHERE at > now() - make_interval(days => %(case_days)s)))
ORDER BY number;

-- name: booked_of
-- What stands behind reservations that have expired; an id that is not returned was never begun, or not made.
SELECT call_id, workflow, case_id, at, worst_micro, cost_micro,
    CASE WHEN state = 'begun' AND lease_until <= now() THEN 'in_doubt' ELSE state END AS state
FROM journal.call
WHERE state <> 'not_made' AND call_id = ANY (%(call_ids)s)
ORDER BY number;

-- name: counted
-- What counts in the day and the month of a moment, by workflow: settled, open or in doubt, and both of calls reserved before another.
SELECT workflow, span AS "window",
    coalesce(sum(cost_micro) FILTER (WHERE state IN ('answered', 'made')), 0)::bigint AS recorded_micro,
    coalesce(sum(worst_micro) FILTER (WHERE state IN ('begun', 'in_doubt')), 0)::bigint AS open_micro,
    coalesce(sum(CASE WHEN state IN ('answered', 'made') THEN cost_micro ELSE worst_micro END)
             FILTER (WHERE at <= %(firm_at)s::timestamptz), 0)::bigint AS firm_micro
FROM journal.call, unnest(ARRAY['day', 'month']) AS span
WHERE state <> 'not_made' AND at >= date_trunc(span, %(at)s::timestamptz, 'UTC')
GROUP BY workflow, span
ORDER BY workflow, span;

-- name: epoch
SELECT e.number, e.epoch, e.opened_at IS NOT NULL AS is_open,
    coalesce((SELECT max(number) FROM journal.call), 0) >= %(seen)s
        AND (%(usage_at)s::timestamptz IS NULL
             OR EXISTS (SELECT FROM journal.call WHERE at >= %(usage_at)s::timestamptz)) AS is_new
FROM journal.epoch AS e;

-- name: claim_epoch
-- Only over what the caller has seen: an epoch that was opened since is somebody's fresh rebuild.
WITH copy AS MATERIALIZED (
    SELECT coalesce((SELECT max(number) FROM journal.call), 0) >= %(seen)s
        AND (%(usage_at)s::timestamptz IS NULL
             OR EXISTS (SELECT FROM journal.call WHERE at >= %(usage_at)s::timestamptz)) AS is_new
), claimed AS (
    UPDATE journal.epoch
    SET number = epoch.number + 1, run_id = %(run_id)s, owner = %(owner)s, claimed_at = now(),
        lease_until = now() + make_interval(secs => %(lease_s)s), opened_at = NULL
    FROM copy
    WHERE copy.is_new AND epoch.number = %(number)s
        AND CASE WHEN epoch.opened_at IS NULL THEN epoch.lease_until <= now() ELSE %(saw_open)s END
    RETURNING epoch.number, epoch.epoch, epoch.lease_until
)
SELECT copy.is_new, claimed.number, claimed.epoch, claimed.lease_until,
    old.number AS old_number, old.epoch AS old_epoch, old.lease_until AS old_until, old.owner = %(owner)s AS is_mine,
    old.opened_at IS NOT NULL AS is_open, old.lease_until <= now() AS is_lapsed
FROM copy
CROSS JOIN journal.epoch AS old
LEFT JOIN claimed ON true;

-- name: open_epoch
UPDATE journal.epoch SET opened_at = coalesce(opened_at, now()) WHERE epoch = %(epoch)s RETURNING epoch;

-- name: calls
SELECT call_id, case_id, workflow, step, pass_number, model, why, worst_micro, cost_micro, at, resolved_at,
    state = 'begun' AND lease_until <= now() AS is_lapsed,
    CASE WHEN state = 'begun' AND lease_until <= now() THEN 'in_doubt' ELSE state END AS state
FROM journal.call
WHERE %(state)s::text IS NULL OR state = %(state)s
ORDER BY number
LIMIT %(most)s;

-- name: taken
-- What the last calls of a model took, in milliseconds: 95 of 100 so long at most. Those that cost their whole deadline count;
-- those of a batch, which wait for hours on purpose, and those that nobody ended do not.
SELECT count(*) AS calls, percentile_disc(0.95) WITHIN GROUP (ORDER BY ms) AS ms
FROM (
    SELECT greatest(0, extract(epoch FROM c.ended_at - c.at) * 1000)::bigint AS ms
    FROM journal.call AS c
    WHERE c.at > now() - make_interval(secs => %(within_s)s) AND c.model = %(model)s
        AND c.state IN ('answered', 'made', 'in_doubt') AND c.ended_at IS NOT NULL AND c.why <> %(lapsed)s
        AND NOT EXISTS (SELECT FROM journal.gathered AS g WHERE g.call_id = c.call_id)
    ORDER BY c.at DESC
    LIMIT %(last)s
) AS lately;

-- name: answers
SELECT number, call_id, case_id, version, step, prompt_digest, at, answer
FROM journal.call
WHERE state = 'answered' AND number > %(after)s
ORDER BY number
LIMIT %(most)s;

-- name: unanswered_calls
SELECT * FROM (
    SELECT call_id, case_id, workflow, step, pass_number, model, why, worst_micro, cost_micro, at, resolved_at, number,
        state = 'begun' AND lease_until <= now() AS is_lapsed,
        CASE WHEN state = 'begun' AND lease_until <= now() THEN 'in_doubt' ELSE state END AS state
    FROM journal.call
    WHERE state <> 'answered' AND worst_micro >= 0
) AS c
WHERE c.state = %(state)s
ORDER BY c.number
LIMIT %(most)s;

-- name: recover
-- A paid call that `usage` tells of and this copy of the journal lacks, or does not know the end of. Its answer is lost, so that it is
-- neither given nor made again: it counts for what it cost, as one that a person found on the invoice.
INSERT INTO journal.call AS c
    (call_id, case_id, workflow, version, step, pass_number, prompt_digest, model, epoch, at, worst_micro, state, why, token,
     lease_until, cost_micro, ended_at, resolved_at)
VALUES (%(call_id)s, %(case_id)s, %(workflow)s, '', %(step)s, %(pass_number)s, '', %(model)s, '', %(at)s, %(cost_micro)s,
    'made', %(why)s, '', %(at)s, %(cost_micro)s, now(), now())
ON CONFLICT (call_id) DO UPDATE SET
    state = 'made', cost_micro = excluded.cost_micro, why = excluded.why, ended_at = now(), resolved_at = now()
WHERE c.state NOT IN ('answered', 'made')
RETURNING c.call_id;

-- name: resolve
WITH old AS MATERIALIZED (
    SELECT * FROM journal.call WHERE call_id = %(call_id)s FOR UPDATE
), resolved AS (
    UPDATE journal.call AS c
    SET state = %(state)s, cost_micro = %(cost_micro)s, why = %(why)s, ended_at = coalesce(c.ended_at, now()),
        resolved_at = now()
    FROM old
    WHERE c.call_id = old.call_id AND (old.state = 'in_doubt' OR old.state = 'begun' AND old.lease_until <= now())
    RETURNING c.call_id
)
SELECT old.workflow, old.state, old.worst_micro, old.cost_micro, old.why, old.resolved_at IS NOT NULL AS was_resolved,
    EXISTS (SELECT FROM resolved) AS is_resolved
FROM old;
