-- Operations on one bucket, in order. Redis runs a script alone, so each is atomic; what has ended is not there for any of them.
--
-- KEYS, all with one hash tag, so that a cluster keeps them in one place:
--   1 values and counters, by key      2 token buckets: "tokens milliseconds"
--   3 when keys end, of those that do  4 bytes of keys and values together
-- ARGV: most keys, most bytes of a key, of a value, of all; then the operations, each its name, its key and its own arguments.
-- Times are milliseconds of this server's clock, the one that all replicas have in common.

local VALUES, TOKENS, ENDS, USED = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local keys_max, key_max, value_max, bytes_max = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- What a token bucket counts for, as in memory.
local TOKEN_BYTES = 16
-- A full bucket and an absent one are the same, but one in use is soon asked for again.
local TOKENS_KEPT = 1000
local SWEPT_AT_ONCE = 20
local NEVER = 9e15

local function size(key)
  local value = redis.call('HGET', VALUES, key)
  if value then return #key + #value end
  if redis.call('HEXISTS', TOKENS, key) == 1 then return #key + TOKEN_BYTES end
  return nil
end

local function remove(key)
  local before = size(key)
  if not before then return end
  redis.call('HDEL', VALUES, key)
  redis.call('HDEL', TOKENS, key)
  redis.call('ZREM', ENDS, key)
  redis.call('DECRBY', USED, before)
end

local function sweep(most)
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', ENDS, '-inf', now, 'LIMIT', 0, most)) do remove(key) end
end

local function fits(before, after)
  local keys = redis.call('HLEN', VALUES) + redis.call('HLEN', TOKENS)
  local used = tonumber(redis.call('GET', USED) or '0')
  return (before or keys < keys_max) and used - (before or 0) + after <= bytes_max
end

local function number(text) return string.format('%.0f', text) end

-- Puts it there within the quota; says whether there was room.
local function put(key, hash, value, bytes, ends)
  if #key > key_max or bytes > value_max then return false end
  local before, after = size(key), #key + bytes
  if not fits(before, after) then
    -- Whatever has ended makes room first.
    sweep(keys_max)
    if not fits(before, after) then return false end
  end
  redis.call('HDEL', hash == VALUES and TOKENS or VALUES, key)
  redis.call('HSET', hash, key, value)
  if ends then redis.call('ZADD', ENDS, number(math.min(ends, NEVER)), key) else redis.call('ZREM', ENDS, key) end
  redis.call('INCRBY', USED, after - (before or 0))
  return true
end

local function ends(ttl)
  if ttl == '' then return nil end
  return now + tonumber(ttl)
end

local at = 5
local function argument()
  at = at + 1
  return ARGV[at - 1]
end

local operations = {}

function operations.get(key)
  local value = redis.call('HGET', VALUES, key)
  if value then return { 'value', value } end
  if redis.call('HEXISTS', TOKENS, key) == 1 then return { 'conflict' } end
  return { 'absent' }
end

function operations.set(key)
  local value, ttl = argument(), argument()
  return { put(key, VALUES, value, #value, ends(ttl)) and 'done' or 'large' }
end

function operations.delete(key)
  remove(key)
  return { 'done' }
end

function operations.incr(key)
  local by, ttl = argument(), argument()
  if redis.call('HEXISTS', TOKENS, key) == 1 then return { 'conflict' } end
  local before = redis.call('HGET', VALUES, key)
  if not before then
    return put(key, VALUES, by, #by, ends(ttl)) and { 'count', by } or { 'large' }
  end
  -- In 64 bits, which this language's numbers do not have. It refuses what is no number, and what would overflow.
  local counted = redis.pcall('HINCRBY', VALUES, key, by)
  if type(counted) == 'table' and counted.err then return { 'conflict' } end
  local after = redis.call('HGET', VALUES, key)
  redis.call('INCRBY', USED, #after - #before)
  return { 'count', after }
end

-- Takes at least `cost` tokens and at most `most`, as many as there are; says how many, or how long until `cost` are there.
local function take(key, cost, most, burst, per_second)
  if redis.call('HEXISTS', VALUES, key) == 1 then return { 'conflict' } end
  local tokens = burst
  local held = redis.call('HGET', TOKENS, key)
  if held then
    local left, since = held:match('^(%S+) (%S+)$')
    tokens = math.min(burst, tonumber(left) + math.max(0, now - tonumber(since)) / 1000 * per_second)
  end
  if tokens < cost then
    local wait = math.ceil((cost - tokens) / per_second * 1000)
    return { 'wait', number(math.min(math.max(wait, 1), 4294967295)) }
  end
  local taken = math.max(cost, math.min(most, math.floor(tokens)))
  local left = tokens - taken
  local full = math.max(TOKENS_KEPT, math.ceil((burst - left) / per_second * 1000))
  local is_put = put(key, TOKENS, string.format('%.17g %.0f', left, now), TOKEN_BYTES, now + full)
  return is_put and { 'taken', number(taken) } or { 'large' }
end

function operations.take(key)
  local cost, burst, per_second = tonumber(argument()), tonumber(argument()), tonumber(argument())
  local said = take(key, cost, cost, burst, per_second)
  return said[1] == 'taken' and { 'wait', '0' } or said
end

function operations.lease(key)
  local cost, most, burst, per_second = tonumber(argument()), tonumber(argument()), tonumber(argument()), tonumber(argument())
  return take(key, cost, most, burst, per_second)
end

function operations.swap(key)
  local is_expected, expected, value, ttl = argument(), argument(), argument(), argument()
  if redis.call('HEXISTS', TOKENS, key) == 1 then return { 'conflict' } end
  local held = redis.call('HGET', VALUES, key)
  local matches = (is_expected == '1' and held == expected) or (is_expected == '0' and not held)
  if not matches then return { 'swapped', '0' } end
  return put(key, VALUES, value, #value, ends(ttl)) and { 'swapped', '1' } or { 'large' }
end

sweep(SWEPT_AT_ONCE)
local outcomes = {}
while at <= #ARGV do
  local name, key = argument(), argument()
  local due = redis.call('ZSCORE', ENDS, key)
  if due and tonumber(due) <= now then remove(key) end
  outcomes[#outcomes + 1] = operations[name](key)
end
return outcomes
