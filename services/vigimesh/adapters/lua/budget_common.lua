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

local function run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
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

local function raise_key(gen, workflow, window)
  return gen .. 'raise:' .. workflow .. ':' .. window
end

-- A raise of this window that stands at `at`, in micro-units; 0 when none does.
local function raised(gen, workflow, window, at)
  local held = redis.call('HMGET', raise_key(gen, workflow, window), 'to', 'until')
  if held[1] and at < tonumber(held[2]) then return tonumber(held[1]) end
  return 0
end
