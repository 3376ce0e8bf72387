-- The open reservations whose lease has run out, by workflow and then by the end of the lease; nothing is changed, the call
-- journal says what became of them.
-- ARGV: epoch, at, how many at most, how many of the first are left out.
local gen, epoch = generation(ARGV[1])
if not gen then return {'shut', '', epoch} end
local reply, left, skip = {'expired', ''}, tonumber(ARGV[3]), tonumber(ARGV[4])
local workflows = redis.call('SMEMBERS', gen .. 'workflows')
table.sort(workflows)
for _, workflow in ipairs(workflows) do
  if left <= 0 then break end
  local key = open_key(gen, workflow)
  local due = redis.call('ZRANGEBYSCORE', key, '-inf', ARGV[2], 'LIMIT', skip, left)
  if skip > 0 then skip = math.max(0, skip - redis.call('ZCOUNT', key, '-inf', ARGV[2])) end
  for _, call in ipairs(due) do
    reply[#reply + 1] = {workflow, call, redis.call('HGET', call_key(gen, workflow, call), 'until')}
    left = left - 1
  end
end
return reply
