local current = redis.call('GETRANGE', KEYS[1], 0, 7)
if current ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2])
  if current == '' then redis.call('ZADD', KEYS[2], 0, ARGV[3]) end
end
return 1
