-- open makes the shard known as one of this program's, if it is new.
return done('OK')
