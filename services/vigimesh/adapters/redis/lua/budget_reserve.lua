-- Hold the worst case of a call in all its windows, or say which has no room.
-- ARGV: epoch, workflow, call, worst, at, until, then for case, month, day, minute: name, cap, seconds to keep it; and how long ago
-- (microseconds) a lease may have ended and still be about to give back what it holds.
local gen, epoch = generation(ARGV[1])
if not gen then return {'shut', ARGV[3], epoch} end
local workflow, call, worst, at = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local mine = call_key(gen, workflow, call)
local held = redis.call('HMGET', mine, 'state', 'reserved', 'actual', 'until')
if held[1] == 'open' then return {'reserved', call, held[2], held[4]} end
if held[1] == 'settled' then return {'reserved', call, held[3], held[4]} end

-- The end of the lease with which `over` will have been given back to a window, or nil when all of them together hold less.
local function frees(window, name, over)
  local open = open_key(gen, workflow)
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', open, '(' .. whole(at - tonumber(ARGV[19])), '+inf')) do
    local lease = redis.call('HMGET', call_key(gen, workflow, other), window, 'reserved', 'until')
    if lease[1] == name then over = over - tonumber(lease[2]) end
    if over <= 0 then return lease[3] end
  end
end

-- What opens last is asked first, so that nobody waits a minute for a month's end.
local order = {'case', 'month', 'day', 'minute'}
local raises, keys, unseen, denied = raised(gen, workflow, at), {}, {}, nil
for i, window in ipairs(order) do
  local key = window_key(gen, workflow, window, ARGV[4 + 3 * i])
  local sums = redis.call('HMGET', key, 'enforced', 'recorded', 'closed')
  local enforced, recorded = tonumber(sums[1] or '0'), tonumber(sums[2] or '0')
  local cap, asked = math.max(tonumber(ARGV[5 + 3 * i]), raises[window] or 0), worst
  if window == 'minute' then asked = 1 end
  if sums[3] or enforced + asked > cap then
    local ends = nil
    -- A minute's calls are made, however they end; and no lease's end brings back what is recorded.
    if not sums[3] and window ~= 'minute' and recorded + asked <= cap then
      ends = frees(window, ARGV[4 + 3 * i], enforced + asked - cap)
    end
    local told = {'denied', call, window, whole(cap), whole(recorded), whole(enforced - recorded), whole(asked), sums[3] or '0', ends or ''}
    if not ends then return told end
    if not denied or tonumber(ends) > tonumber(denied[9]) then denied = told end
  end
  keys[i], unseen[i] = key, not sums[1]
end

if denied then return denied end

for i, window in ipairs(order) do
  local asked = ARGV[4]
  if window == 'minute' then asked = '1' end
  redis.call('HINCRBY', keys[i], 'enforced', asked)
  -- A span of time is kept from its first call on, which is long enough; a case, which has no end, from its last.
  if unseen[i] or window == 'case' then redis.call('EXPIRE', keys[i], ARGV[6 + 3 * i]) end
end
-- A call that was released has an expiry, an open one must have none.
if held[1] then redis.call('DEL', mine) end
redis.call('HSET', mine, 'state', 'open', 'reserved', ARGV[4], 'until', ARGV[6],
  'case', ARGV[7], 'month', ARGV[10], 'day', ARGV[13], 'minute', ARGV[16])
redis.call('ZADD', open_key(gen, workflow), ARGV[6], call)
-- Whoever is seen for the first time in a month is written down; a rebuild writes down all it has.
if unseen[2] then redis.call('SADD', gen .. 'workflows', workflow) end
return {'reserved', call, ARGV[4], ARGV[6]}
