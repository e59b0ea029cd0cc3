-- change deletes or requeues jobs, at most 500.
-- ARGV  see entries; the last is 'delete' or 'requeue'
-- Returns how many, and the id to go on after or ''.
local requeue = table.remove(ARGV) == 'requeue'
local n, left = 0, 500
if ARGV[6] == 'after' then
	left = math.min(left, tonumber(ARGV[8]))
end
local touched, lost, last = {}, {}, ''
local next = each(function(id, body, s, q)
	local kind = s and byte(s) or R
	local k, c = block(id)
	if kind == R then
		leave(q, id)
	elseif kind == D then
		call('ZREM', B .. 'd' .. q, id)
	elseif kind == A then
		call('ZREM', B .. 'a' .. q, id)
	else
		local token = sub(s, 2, 17)
		lost[token] = lost[token] or {}
		table.insert(lost[token], id)
		count(q, -1)
	end
	touched[kind .. ' ' .. q] = {kind, q}
	if requeue then
		local _, _, err = history(call('HGET', k, 'e' .. c))
		if err == '' then
			call('HDEL', k, 'e' .. c)
		else
			call('HSET', k, 'e' .. c, '0 0 ' .. err)
		end
		call('HSET', k, 's' .. c, 'R' .. fmt('%d', now))
		append(q, {id}, now)
	else
		if byte(body, 13) % 2 == 1 then
			local digest = sub(body, 14, 29)
			if call('HGET', B .. 'u' .. q, digest) == id then
				call('HDEL', B .. 'u' .. q, digest)
			end
		end
		call('HDEL', k, c, 's' .. c, 'e' .. c, 't' .. c)
		vacate(k)
	end
	n, last = n + 1, id
	return n < left
end)
for _, t in pairs(touched) do
	if t[1] == R then
		front(t[2])
	elseif t[1] == D then
		first('d', t[2])
	elseif t[1] == A then
		first('a', t[2])
	end
end
for token, ids in pairs(lost) do
	lose(token, ids)
end
if n == left then
	next = fmt('%d', tonumber(last, 16))
end
return done({n, next})
