-- Put a generation in force at once, if the one in force is still the one that was there when it was begun.
-- ARGV: epoch, the new generation, the generation and the server process seen at its beginning.
local held = redis.call('HMGET', state, 'run_id', 'epoch', 'gen')
-- Sent twice: the first one did it. To call this one lost would let its builder delete what is in force.
if held[1] == run_id() and held[3] == ARGV[2] then return {'swapped', ''} end
local building = state .. ':building'
local whole_one = redis.call('ZREM', building, ARGV[2]) == 1
if held[1] == run_id() and held[2] == ARGV[1] and held[3] then return {'current', ''} end
-- A server that was started again may have lost a part of what was staged.
if not whole_one or (held[3] or '') ~= ARGV[3] or run_id() ~= ARGV[4] then return {'lost', ''} end
redis.call('HSET', state, 'run_id', run_id(), 'epoch', ARGV[1], 'gen', ARGV[2])
return {'swapped', ''}
