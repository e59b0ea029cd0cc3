-- open makes the shard known as one of this program's, if it is new. It uses every command that changes something: a user who
-- may not use one would otherwise fail in the middle of a script, with half of it done.
local try = B .. 'try'
call('HSET', try, 'a', 1, 'b', 1)
call('HINCRBY', try, 'a', 1)
call('HDEL', try, 'a')
call('RENAME', try, try)
call('UNLINK', try)
call('ZADD', try, 1, 'a', 2, 'b', 3, 'c')
call('ZREM', try, 'a')
call('ZREMRANGEBYRANK', try, 0, 0)
call('ZREMRANGEBYSCORE', try, 0, 9)
call('RPUSH', try, 'a')
call('LPOP', try)
call('PUBLISH', B .. 'wake', '')
return done('OK')
