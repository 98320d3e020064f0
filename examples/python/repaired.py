"""The same cache with what drills taught. Every part says what it protects from."""
import json
import os
import random
import threading
import time
import traceback
import uuid
from concurrent.futures import Future, ThreadPoolExecutor

import redis

from source import Overloaded, Source

TTL = int(os.environ.get("CACHE_TTL", "60"))
GRACE = 30          # seconds after its TTL for which a copy is still served while somebody loads a new one

# A load is given up before its lease ends: so while a lease is held, nobody else loads, and two loads of one key don't meet. After
# one that was given up, the lease stays: the next attempt comes when it has run out, which is the pause between attempts.
LOAD_TIMEOUT = 2.0
LEASE = 5000        # milliseconds
# A fence outlives every write.
WRITE_TIMEOUT = 6.0
FENCE = 10000       # milliseconds
# A copy that somebody is changing lives no longer than this: should the writer die between its commit and its word to Redis, what
# is old by then is gone within what the shop promises.
PROMISE = 3000      # milliseconds

# Three keys: the copy, V<version>|<json>, where a deleted product is one, too, without a title (a tombstone: no older copy comes
# back over it); the lease of whoever loads; and the fence of whoever changes, during which nothing is filled.

# Gives the copy and what to do: serve it; load (the lease is yours); wait, for somebody else does; or ask past the cache.
LOOK = """
local v = redis.call('GET', KEYS[1]) or ''
if v ~= '' and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[3]) then return {v, 'hit'} end
if redis.call('EXISTS', KEYS[3]) == 1 then return {v, 'fenced'} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {v, 'load'} end
return {v, 'wait'}
"""

# Stores a copy, if the lease is still ours. A write takes leases away, a Redis that starts anew knows none, and one that ran out is
# somebody else's by now: whatever was read under them may be old. The version is a second lock on the same door: it also holds where
# a Redis forgot that a lease was taken away (a failover).
FILL = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
local known = tonumber(string.match(redis.call('GET', KEYS[1]) or '', '^V(%d+)') or '0')
if known > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], 'V' .. ARGV[2] .. '|' .. ARGV[3], 'PX', ARGV[4])
return 1
"""

# Gives a lease back, if it is still ours: a bare DEL would take away whosever it is by now.
RELEASE = "if redis.call('GET', KEYS[2]) == ARGV[1] then return redis.call('DEL', KEYS[2]) end return 0"

# Before a write: no fill until it is known what came of the write. The copy is still true, and served.
BEGIN = """
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"""

# After a write, before anybody hears that it was done: what it wrote replaces whatever is older. While another write is under way that
# copy, too, lives no longer than promised.
END = """
redis.call('DEL', KEYS[2])
local ttl = ARGV[4]
if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3])
elseif redis.call('EXISTS', KEYS[3]) == 1 then ttl = ARGV[5] end
local known = tonumber(string.match(redis.call('GET', KEYS[1]) or '', '^V(%d+)') or '0')
if known > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], 'V' .. ARGV[2] .. '|' .. ARGV[3], 'PX', ttl)
return 1
"""

# After a write of which nobody knows whether it was done, or still will be.
DOUBT = "redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2]) return redis.call('DEL', KEYS[1], KEYS[2])"


class RedisAway(Exception):
    """Redis is not asked at the moment, or did not answer."""


class Guarded:
    """Redis behind a breaker. It also keeps the invalidations that Redis never got: until they are made up for, nothing is read from
    there, or the copies of before the outage would come back with it."""

    FAILURES = 3

    def __init__(self, address):
        host, _, port = address.partition(":")
        # Without timeouts a Redis that has gone silent takes every thread with it.
        self.redis = redis.Redis(host=host, port=int(port), socket_timeout=0.25, socket_connect_timeout=0.25)
        self.scripts = {name: self.redis.register_script(text) for name, text in
                        {"look": LOOK, "fill": FILL, "release": RELEASE, "begin": BEGIN, "end": END, "doubt": DOUBT}.items()}
        self.lock = threading.Lock()
        self.failures, self.away, self.owed = 0, False, {}

    def run(self, script, keys, args):
        if self.away:
            raise RedisAway
        try:
            out = self.scripts[script](keys=keys, args=args)
        except redis.RedisError as e:
            with self.lock:
                self.failures += 1
                if self.failures >= self.FAILURES:
                    self.leave()
            raise RedisAway from e
        self.failures = 0
        return out

    def owe(self, keys):
        """An invalidation did not get there: Redis is left alone until it has."""
        with self.lock:
            self.owed[tuple(keys)] = self.owed.get(tuple(keys), 0) + 1
            self.leave()

    def leave(self):
        if not self.away:
            self.away = True
            threading.Thread(target=self.come_back, daemon=True).start()

    def come_back(self):
        """One thread asks whether Redis is there again: requests are no guinea pigs."""
        while True:
            time.sleep(0.2)
            try:
                self.redis.connection_pool.disconnect(inuse_connections=False)   # what was open before may be dead
                self.redis.ping()
                for keys, n in list(self.owed.items()):
                    self.redis.delete(*keys[:2])          # copy and lease: a fill that is under way is void, too
                    with self.lock:
                        if self.owed.get(keys) == n:
                            del self.owed[keys]
                with self.lock:
                    if not self.owed:
                        self.failures, self.away = 0, False
                        return
            except Exception:
                traceback.print_exc(limit=-1)       # this thread is the only way back


class Cache:
    def __init__(self, redis_address, source):
        self.redis, self.source = Guarded(redis_address), source
        self.lock, self.flights = threading.Lock(), {}
        self.refreshers = ThreadPoolExecutor(4, "refresh")
        self.room = threading.Semaphore(4)

    @staticmethod
    def connect(address):
        # Bounded in number and in time: when Redis is gone, the source gets what it can take, and the rest an honest 503 at once.
        return Source(address, timeout=LOAD_TIMEOUT, write_timeout=WRITE_TIMEOUT, patience=0.5)

    @staticmethod
    def keys(tenant, id):
        return [f"shop:{what}:{tenant}:{id}" for what in ("product", "lease", "fence")]

    def get(self, tenant, id):
        keys, lease, give_up = self.keys(tenant, id), uuid.uuid4().hex, time.monotonic() + 1
        while True:
            try:
                copy, do = self.redis.run("look", keys, [lease, LEASE, GRACE * 1000])
            except RedisAway:
                return self.share(tenant, id, None), "MISS"
            match do:
                case b"fenced" if not copy:
                    return self.share(tenant, id, None), "MISS"
                case b"load" if copy:
                    self.in_background(tenant, id, keys, lease)
                case b"load":
                    return self.share(tenant, id, lease), "MISS"
            if copy:
                return json.loads(copy.split(b"|", 1)[1]), "HIT" if do == b"hit" else "STALE"
            if time.monotonic() > give_up:      # to wait for ever is to take a thread down with the one that loads
                raise Overloaded
            time.sleep(0.02)

    def share(self, tenant, id, lease):
        """Loads a row once for all threads that want it now. Who joins may get what was true when the load began, so no older than
        LOAD_TIMEOUT: that is within what the shop promises (bounded, 3 s)."""
        with self.lock:
            flight = self.flights.get((tenant, id))
            mine = flight is None
            if mine:
                flight = self.flights[tenant, id] = Future()
        if not mine:
            if lease:
                self.give_back(tenant, id, lease)
            return flight.result(timeout=LOAD_TIMEOUT + 1)
        try:
            row = self.source.load(tenant, id)
            if lease:
                self.fill(row, lease)
            flight.set_result(row)
            return row
        except BaseException as e:
            flight.set_exception(e)
            raise
        finally:
            with self.lock:
                del self.flights[tenant, id]

    @staticmethod
    def ttl():
        """Milliseconds, spread: or what was filled together expires together."""
        return int((TTL + random.uniform(0, TTL / 4) + GRACE) * 1000)

    def fill(self, row, lease):
        try:
            self.redis.run("fill", self.keys(row["tenant"], row["id"]), [lease, row["version"], json.dumps(row), self.ttl()])
        except RedisAway:
            pass        # the lease runs out by itself

    def give_back(self, tenant, id, lease):
        try:
            self.redis.run("release", self.keys(tenant, id), [lease])
        except RedisAway:
            pass

    def in_background(self, tenant, id, keys, lease):
        """Stale-while-revalidate, a few at a time: a slow source slows down nobody who can be served."""
        if not self.room.acquire(blocking=False):
            return self.give_back(tenant, id, lease)

        def load():
            try:
                self.share(tenant, id, lease)
            except Exception:
                pass    # the lease stays: the next attempt is when it has run out
            finally:
                self.room.release()
        self.refreshers.submit(load)

    def write(self, tenant, id, title):
        self.change(tenant, id, title, lambda: self.source.write(tenant, id, title))

    def delete(self, tenant, id):
        self.change(tenant, id, None, lambda: self.source.delete(tenant, id))

    def change(self, tenant, id, title, do):
        keys, me = self.keys(tenant, id), uuid.uuid4().hex
        try:
            self.redis.run("begin", keys, [me, FENCE, PROMISE])
        except RedisAway:
            pass            # then what comes after the write won't get there either, and is owed
        try:
            version = do()
        except Overloaded:
            raise           # it was never asked; the fence falls by itself
        except Exception:   # it may have been done, or be done later
            self.tell("doubt", keys, [me, FENCE])
            raise
        row = {"tenant": tenant, "id": id, "title": title, "version": version}
        self.tell("end", keys, [me, version, json.dumps(row), self.ttl(), PROMISE])

    def tell(self, script, keys, args):
        try:
            self.redis.run(script, keys, args)
        except RedisAway:
            self.redis.owe(keys)

    def refresh(self, n):
        """What the worker does. It is one more reader: with a lease, by version, and only of what is about to go."""
        for row in self.source.newest(n):
            try:
                lease = uuid.uuid4().hex
                _, do = self.redis.run("look", self.keys(row["tenant"], row["id"]), [lease, LEASE, (GRACE + TTL // 4) * 1000])
                if do == b"load":
                    self.share(row["tenant"], row["id"], lease)     # a new read: the list may be old by now
            except (RedisAway, Overloaded, OSError):
                return
