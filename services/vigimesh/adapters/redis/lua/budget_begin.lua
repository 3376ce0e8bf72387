-- Begin to build a generation beside the one in force, unless that is the one wanted already.
-- ARGV: epoch, the new generation, seconds after which an unfinished one is given up.
local now = tonumber(redis.call('TIME')[1])
local held = redis.call('HMGET', state, 'run_id', 'epoch', 'gen')
if held[1] == run_id() and held[2] == ARGV[1] and held[3] then return {'current', ''} end
local building = state .. ':building'
-- Given up before its keys are deleted, so that it can never be swapped in with some of them missing.
local old = redis.call('ZRANGEBYSCORE', building, '-inf', whole(now - tonumber(ARGV[3])))
for _, gen in ipairs(old) do redis.call('ZREM', building, gen) end
redis.call('ZADD', building, now, ARGV[2])
return {'begun', '', held[3] or '', run_id(), old}
