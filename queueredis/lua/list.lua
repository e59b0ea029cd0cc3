-- list describes jobs. See entries for what it is asked.
-- Returns of each job id, name, state, the time that belongs to it, owner, body, history, root and '1' if it
-- blocks its duplicates; and the id to go on after or ''.
local found, left = {}, ARGV[6] == 'after' and tonumber(ARGV[8]) or 1000
local next = each(function(id, body, s, q, state, at, owner)
	local k, c = block(id)
	local v = call('HMGET', k, 'e' .. c, 't' .. c)
	local blocks = byte(body, 13) % 2 == 1 and call('HGET', B .. 'u' .. q, sub(body, 14, 29)) == id
	for _, x in ipairs({id, matching[q], state, at, owner, body, v[1] or '', v[2] or '', blocks and '1' or ''}) do
		found[#found + 1] = x
	end
	left = left - 1
	return left > 0
end)
return {found, next}
