-- In front of every script of the budget.
--
-- KEYS[1] is the state: which server process, which epoch, which generation of keys. All other keys lie below that
-- generation and have the same hash tag, so that they are on the server that KEYS[1] leads to. They are not declared,
-- because only the state says where they are: that is what lets a rebuild swap everything at once.
-- Amounts are below 2^53, which Lua counts exactly; they are written with %.0f, since Lua writes 1e+15 by itself.
local state = KEYS[1]

local function whole(number)
  return string.format('%.0f', number)
end

-- The server process: 40 hexadecimal digits. Searched as plain text, which is several times as quick as a pattern.
local function run_id()
  local told = redis.call('INFO', 'server')
  local _, at = string.find(told, 'run_id:', 1, true)
  return string.sub(told, at + 1, at + 40)
end

-- Returns the generation's prefix, or nil and why the budget is shut. `named` is the epoch the caller knows; empty
-- asks for whichever is there, which only questions and a person's orders do.
local function generation(named)
  local held = redis.call('HMGET', state, 'run_id', 'epoch', 'gen')
  if not held[3] then return nil, 'empty' end
  if held[1] ~= run_id() then return nil, 'restarted' end
  if named ~= '' and held[2] ~= named then return nil, 'epoch' end
  return state .. ':' .. held[3] .. ':', held[2]
end

local function window_key(gen, workflow, window, name)
  return gen .. 'w:' .. workflow .. ':' .. window .. ':' .. name
end

local function call_key(gen, workflow, call)
  return gen .. 'call:' .. workflow .. ':' .. call
end

local function open_key(gen, workflow)
  return gen .. 'open:' .. workflow
end

-- One key for all raises of a workflow, so that a reservation looks once.
local function raise_key(gen, workflow)
  return gen .. 'raise:' .. workflow
end

-- The raises of month and day that stand at `at`, in micro-units; 0 when none does.
local function raised(gen, workflow, at)
  local held = redis.call('HMGET', raise_key(gen, workflow), 'month:to', 'month:until', 'day:to', 'day:until')
  local found = {month = 0, day = 0}
  if held[1] and at < tonumber(held[2]) then found.month = tonumber(held[1]) end
  if held[3] and at < tonumber(held[4]) then found.day = tonumber(held[3]) end
  return found
end
