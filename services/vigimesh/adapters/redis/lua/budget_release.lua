-- Give an open reservation back.
-- ARGV: epoch, workflow, call, seconds to remember the call, and which reservation: the end of its lease; empty is any.
local gen, epoch = generation(ARGV[1])
if not gen then return {'shut', ARGV[3], epoch} end
local workflow, call = ARGV[2], ARGV[3]

local mine = call_key(gen, workflow, call)
local held = redis.call('HMGET', mine, 'state', 'reserved', 'case', 'month', 'day', 'minute', 'until')
-- Whoever gives back late must not take what another has reserved for the same call meanwhile.
if ARGV[5] ~= '' and held[7] ~= ARGV[5] then return {'released', call, '0'} end
if held[1] == 'released' then return {'released', call, held[2]} end
if held[1] ~= 'open' then return {'released', call, '0'} end
for i, window in ipairs({'case', 'month', 'day', 'minute'}) do
  local key, back = window_key(gen, workflow, window, held[2 + i]), tonumber(held[2])
  if window == 'minute' then back = 1 end
  -- A window that is gone ended long ago; made again it would hold less than nothing.
  if redis.call('EXISTS', key) == 1 then redis.call('HINCRBY', key, 'enforced', whole(-back)) end
end
redis.call('HSET', mine, 'state', 'released')
redis.call('EXPIRE', mine, ARGV[4])
redis.call('ZREM', open_key(gen, workflow), call)
return {'released', call, held[2]}
