-- Every script begins with this: the shard, its clock and its numbers.
-- KEYS  1 the hash of the shard's numbers, 2 a key that never exists: a Cluster that moves
--       the shard finds one of them missing and refuses the script before it begins.
-- ARGV  1 the clock: "=" and the time, or "+" and what to add to the server's, in microseconds;
--       2 how many shards the store has
local call, floor, fmt, sub, byte = redis.call, math.floor, string.format, string.sub, string.byte
local B = sub(KEYS[1], 1, -5)
local mostBytes = 8000000 -- of jobs in one answer; the last may go beyond

local now
if byte(ARGV[1]) == 61 then
	now = tonumber(sub(ARGV[1], 2))
else
	local t = call('TIME')
	now = t[1] * 1000000 + t[2] + tonumber(sub(ARGV[1], 2))
end

local set = {} -- numbers to store at the end
local numbers = call('HMGET', KEYS[1], 'oldest', 'shards', 'id', 'queue', 'swept', 'latest', 'shortest')
if numbers[1] and tonumber(numbers[1]) > 1 then
	return redis.error_reply('JOBQUEUEFORMAT ' .. numbers[1])
end
if numbers[2] and numbers[2] ~= ARGV[2] then
	return redis.error_reply('JOBQUEUESHARDS ' .. numbers[2])
end
if not numbers[1] then
	set = {'format', 1, 'oldest', 1, 'shards', ARGV[2]}
end
local lastID = tonumber(numbers[3] or 0)
local lastQueue = tonumber(numbers[4] or 0)

-- note stores one of the shard's numbers at the end of the script.
local function note(field, value)
	set[#set + 1] = field
	set[#set + 1] = value
end

-- fresh returns a number above last and as much as least, that does not come twice even if the server loses its last second: each quarter of a second has its own
local function fresh(last, least)
	return math.max(last + 1, least, floor(now / 250000) * 262144)
end
