-- How the minute, day and month of a workflow stand; open reservations are summed anew, one by one.
-- ARGV: epoch, workflow, at, then for minute, day, month: name.
local gen, epoch = generation(ARGV[1])
if not gen then return {'shut', '', epoch} end
local workflow, at = ARGV[2], tonumber(ARGV[3])

local windows = {'minute', 'day', 'month'}
local open = {minute = 0, day = 0, month = 0}
for _, call in ipairs(redis.call('ZRANGE', open_key(gen, workflow), 0, -1)) do
  local held = redis.call('HMGET', call_key(gen, workflow, call), 'reserved', 'minute', 'day', 'month')
  for i, window in ipairs(windows) do
    if held[1 + i] == ARGV[3 + i] then
      local amount = tonumber(held[1])
      if window == 'minute' then amount = 1 end
      open[window] = open[window] + amount
    end
  end
end

local reply, raises = {'standing', '', epoch}, raised(gen, workflow, at)
for i, window in ipairs(windows) do
  local sums = redis.call('HMGET', window_key(gen, workflow, window, ARGV[3 + i]), 'enforced', 'recorded', 'overrun', 'closed')
  reply[#reply + 1] = {whole(raises[window] or 0), sums[2] or '0', whole(open[window]), sums[1] or '0', sums[3] or '0', sums[4] or '0'}
end
return reply
