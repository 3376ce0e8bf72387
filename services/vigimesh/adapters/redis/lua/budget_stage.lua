-- Write a part of a generation that is being built; writing it again changes nothing.
-- ARGV: the generation, then a part as JSON: sums of windows and calls, every number as text.
if not redis.call('ZSCORE', state .. ':building', ARGV[1]) then return {'lost', ''} end
local gen, part = state .. ':' .. ARGV[1] .. ':', cjson.decode(ARGV[2])
for _, one in ipairs(part.sums) do
  local workflow, window, name, enforced, recorded, keep_s = unpack(one)
  local key = window_key(gen, workflow, window, name)
  redis.call('HSET', key, 'enforced', enforced, 'recorded', recorded)
  redis.call('EXPIRE', key, keep_s)
  redis.call('SADD', gen .. 'workflows', workflow)
end
for _, one in ipairs(part.calls) do
  local workflow, call, standing, amount, lease, case, month, day, minute, keep_s = unpack(one)
  local key = call_key(gen, workflow, call)
  redis.call('HSET', key, 'state', standing, 'reserved', amount, 'actual', amount, 'overrun', '0', 'until', lease,
    'case', case, 'month', month, 'day', day, 'minute', minute)
  if standing == 'open' then
    redis.call('ZADD', open_key(gen, workflow), lease, call)
  else
    redis.call('EXPIRE', key, keep_s)
  end
end
return {'staged', ''}
