-- The open reservations whose lease has run out; nothing is changed, the call journal says what became of them.
-- ARGV: epoch, at, how many at most.
local gen, epoch = generation(ARGV[1])
if not gen then return {'shut', '', epoch} end
local reply, left = {'expired', ''}, tonumber(ARGV[3])
local workflows = redis.call('SMEMBERS', gen .. 'workflows')
table.sort(workflows)
for _, workflow in ipairs(workflows) do
  if left <= 0 then break end
  local due = redis.call('ZRANGEBYSCORE', open_key(gen, workflow), '-inf', ARGV[2], 'LIMIT', 0, left)
  table.sort(due)
  for _, call in ipairs(due) do
    reply[#reply + 1] = {workflow, call, redis.call('HGET', call_key(gen, workflow, call), 'until')}
    left = left - 1
  end
end
return reply
