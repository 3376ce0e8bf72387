-- Trim a reservation to the actual and record it; more than was reserved closes the windows of money.
-- ARGV: epoch, workflow, call, actual, seconds to remember the call.
local gen, epoch = generation(ARGV[1])
if not gen then return {'shut', ARGV[3], epoch} end
local workflow, call, actual = ARGV[2], ARGV[3], tonumber(ARGV[4])

local mine = call_key(gen, workflow, call)
local held = redis.call('HMGET', mine, 'state', 'reserved', 'actual', 'overrun', 'case', 'month', 'day', 'minute')
if not held[1] then return {'not_reserved', call} end
if held[1] == 'settled' then return {'settled', call, held[3], held[4]} end

local reserved, was_open = tonumber(held[2]), held[1] == 'open'
local overrun = math.max(0, actual - reserved)
for i, window in ipairs({'case', 'month', 'day', 'minute'}) do
  local key, record, back = window_key(gen, workflow, window, held[4 + i]), actual, reserved
  if window == 'minute' then record, back = 1, 1 end
  if not was_open then back = 0 end
  -- A window that is gone ended long ago; made again it would hold less than nothing.
  if redis.call('EXISTS', key) == 1 then
    redis.call('HINCRBY', key, 'enforced', whole(record - back))
    redis.call('HINCRBY', key, 'recorded', whole(record))
    if overrun > 0 and window ~= 'minute' then
      redis.call('HINCRBY', key, 'overrun', whole(overrun))
      redis.call('HSET', key, 'closed', '1')
    end
  end
end
redis.call('HSET', mine, 'state', 'settled', 'actual', ARGV[4], 'overrun', whole(overrun))
redis.call('EXPIRE', mine, ARGV[5])
redis.call('ZREM', open_key(gen, workflow), call)
return {'settled', call, ARGV[4], whole(overrun)}
