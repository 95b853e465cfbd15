"""
The steps of the Redis engine, as scripts in Lua: each is atomic, and may be repeated.

What they decide is the same as in :mod:`bore.cluster.rules`. The database has, behind the prefix:

* ``store``, a hash: ``incarnation``; ``recovering``, which is there during a recovery; ``epoch``, the highest that was
  given; ``run`` and ``promoted``, by which a server notices that it has not written the rest by itself;
* ``nodes``, a hash: an entry for each member;
* ``records``, a hash: a record for each address;
* ``users``, a sorted set without scores: ``USER/ADDRESS`` for each record.

Each call gives the prefix and a random text, for an incarnation that may have to begin. Each answer is an object in
JSON, with the number of replicas that have confirmed anything in the last 5 s, as each does every second; one that
refuses has the reason in ``no``.
"""

from __future__ import annotations

from typing import Final

from bore.cluster.redislink import Script

#: Before each script. A server has another run id when it was restarted, and another second replication id when it was
#: a replica before; that one is zero when there is no history, as when the last replica has been away for an hour.
_BEGIN: Final = """
local prefix, fresh = ARGV[1], ARGV[2]
local store, nodes = prefix .. 'store', prefix .. 'nodes'
local records, users = prefix .. 'records', prefix .. 'users'
local replication = redis.call('INFO', 'replication')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local promoted = string.match(replication, 'master_replid2:(%w+)')
local known = redis.call('HMGET', store, 'run', 'promoted', 'incarnation', 'recovering')
if known[1] ~= run or (known[2] ~= promoted and string.match(promoted, '[^0]')) then
    redis.call('UNLINK', nodes, records, users)
    redis.call('HSET', store, 'run', run, 'promoted', promoted, 'incarnation', fresh, 'recovering', 1)
    known[3], known[4] = fresh, '1'
end
local incarnation, recovering = known[3], known[4] and true

local function answer(found)
    found.replicas = 0
    for lag in string.gmatch(replication, 'state=online,offset=%d+,lag=(%d+)') do
        if tonumber(lag) <= 5 then found.replicas = found.replicas + 1 end
    end
    return cjson.encode(found)
end
local function isIn(member)
    return redis.call('HEXISTS', nodes, member) == 1
end
local function read(text)
    local record = cjson.decode(text)
    for member in pairs(record.members) do
        if not isIn(member) then record.members[member] = nil end
    end
    return record
end
local function recordOf(address)
    local text = redis.call('HGET', records, address)
    return text and read(text)
end
local function hasMembers(record)
    return next(record.members) ~= nil
end
local function endRecord(address, record)
    redis.call('HDEL', records, address)
    redis.call('ZREM', users, record.user .. '/' .. address)
end
local function write(address, record)
    redis.call('HSET', records, address, cjson.encode(record))
    redis.call('ZADD', users, 0, record.user .. '/' .. address)
end
local function take(address, record, member)
    record.members[member] = nil
    if hasMembers(record) then write(address, record) else endRecord(address, record) end
end
"""


def _script(text: str) -> Script:
    return Script(_BEGIN + text)


#: MEMBER, ENTRY. Numbers of members of the same node do not count.
ENTER: Final = _script("""
local member, entry = ARGV[3], cjson.decode(ARGV[4])
local name = string.match(member, '^(.*)/')
local used = {}
local found = redis.call('HGETALL', nodes)
for n = 1, #found, 2 do
    if string.match(found[n], '^(.*)/') ~= name then used[cjson.decode(found[n + 1]).number] = true end
end
for _ = 1, 65535 do
    if not used[entry.number] then break end
    entry.number = entry.number % 65535 + 1
end
redis.call('HSET', nodes, member, cjson.encode(entry))
return answer({number = entry.number})
""")

#: MEMBER, ENTRY. A server that may evict records, as a cache does, could grant their addresses again.
BEAT: Final = _script("""
local member, entry = ARGV[3], ARGV[4]
local memory = redis.call('INFO', 'memory')
if string.match(memory, 'maxmemory:[1-9]') and string.match(memory, 'maxmemory_policy:allkeys') then
    return answer({no = 'evicts'})
end
local before = redis.call('HGET', nodes, member)
if not before then return answer({no = 'voided'}) end
if cjson.decode(entry).beat <= cjson.decode(before).beat then entry = before end
redis.call('HSET', nodes, member, entry)
return answer({nodes = redis.call('HVALS', nodes), incarnation = incarnation, recovering = recovering})
""")

#: MEMBER, BEAT, or 'any'. Says whether there is no such entry now.
VOID: Final = _script("""
local member, beat = ARGV[3], ARGV[4]
local entry = redis.call('HGET', nodes, member)
if entry and (beat == 'any' or cjson.decode(entry).beat == tonumber(beat)) then
    redis.call('HDEL', nodes, member)
    entry = nil
end
return answer({gone = not entry})
""")

#: MEMBER, CURSOR, COUNT. Takes a member that has no entry from some of the records.
SWEEP: Final = _script("""
local member = ARGV[3]
if isIn(member) then return answer({cursor = '0'}) end
local quoted = cjson.encode(member)
local cursor, found = unpack(redis.call('HSCAN', records, ARGV[4], 'COUNT', ARGV[5]))
for n = 1, #found, 2 do
    if string.find(found[n + 1], quoted, 1, true) then
        take(found[n], read(found[n + 1]), member)
    end
end
return answer({cursor = cursor})
""")

#: MEMBER, ADDRESS, KEY, USER, CLAIM, LIMIT, which is empty if there is none. Says in 'had' whether it was a member.
GRANT: Final = _script("""
local member, address, key, user = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local claim, limit = tonumber(ARGV[7]), tonumber(ARGV[8])
if recovering then return answer({no = 'recovering'}) end
if not isIn(member) then return answer({no = 'voided'}) end
local before = recordOf(address)
local record = before and hasMembers(before) and before or nil
if record and (record.key ~= key or record.user ~= user) then
    return answer({no = 'taken', record = cjson.encode(record)})
end
if not record then
    local count = limit and redis.call('ZLEXCOUNT', users, '[' .. user .. '/', '(' .. user .. '0')
    if before and before.user == user then count = count and count - 1 end
    if limit and count >= limit then return answer({no = 'limit'}) end
    if before then endRecord(address, before) end
    local epoch = redis.call('HINCRBY', store, 'epoch', 1)
    record = {address = tonumber(address), epoch = epoch, key = key, user = user, members = {}, firm = true}
end
local had = record.members[member]
if not had or had < claim then record.members[member] = claim end
write(address, record)
return answer({record = cjson.encode(record), had = had and true or false})
""")

#: MEMBER, ADDRESS, CLAIM.
LEAVE: Final = _script("""
local member, address, claim = ARGV[3], ARGV[4], tonumber(ARGV[5])
local record = recordOf(address)
if record and record.members[member] and record.members[member] <= claim then take(address, record, member) end
return answer({})
""")

#: MEMBER, RECORDS as a list in JSON.
RESTORE: Final = _script("""
local member = ARGV[3]
if not isIn(member) then return answer({no = 'voided'}) end
local epoch = tonumber(redis.call('HGET', store, 'epoch') or 0)
local lost = {}
for _, own in ipairs(cjson.decode(ARGV[4])) do
    local record = recordOf(own.address)
    local same = record and record.epoch == own.epoch and record.key == own.key and record.user == own.user
    if recovering and not same then
        local less = not record or record.epoch < own.epoch
        if record and record.firm ~= own.firm then less = own.firm end
        if less then
            if record then endRecord(own.address, record) end
            own.members = {[member] = own.members[member]}
            record, same = own, true
            write(own.address, own)
        end
    elseif recovering and not record.members[member] then
        record.members[member] = own.members[member]
        record.firm = record.firm or own.firm
        write(own.address, record)
    end
    if not (same and record.members[member]) then table.insert(lost, own.address) end
    if recovering and own.epoch > epoch then epoch = own.epoch end
end
redis.call('HSET', store, 'epoch', epoch)
return answer({lost = table.concat(lost, ' ')})
""")

#: INCARNATION.
RECOVERED: Final = _script("""
if incarnation == ARGV[3] then redis.call('HDEL', store, 'recovering') end
return answer({})
""")

#: CURSOR, COUNT.
RECORDS: Final = _script("""
local cursor, found = unpack(redis.call('HSCAN', records, ARGV[3], 'COUNT', ARGV[4]))
local texts = {}
for n = 2, #found, 2 do table.insert(texts, found[n]) end
return answer({cursor = cursor, records = texts})
""")
