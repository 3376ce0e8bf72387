-- Let a cap be higher until a time; the same order again changes nothing.
-- ARGV: epoch, workflow, window, name of the window, to, until, the order in full, seconds to keep it.
local gen, epoch = generation(ARGV[1])
if not gen then return {'shut', '', epoch} end
local workflow, window = ARGV[2], ARGV[3]

local key = raise_key(gen, workflow)
local held = redis.call('HMGET', key, window .. ':order', window .. ':earlier')
if held[1] == ARGV[7] then return {'raised', '', held[2]} end
local earlier = held[1] or ''
redis.call('HSET', key, window .. ':to', ARGV[5], window .. ':until', ARGV[6], window .. ':order', ARGV[7],
  window .. ':earlier', earlier)
-- Both windows' raises expire together, after the longest that a raise may stand.
redis.call('EXPIRE', key, ARGV[8])
-- A person has looked: a window that an overrun closed opens again.
redis.call('HDEL', window_key(gen, workflow, window, ARGV[4]), 'closed')
return {'raised', '', earlier}
