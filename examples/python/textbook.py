"""The cache as it is written everywhere: get; else take a lock, fetch, store with a random extra, drop the lock; else wait.

It looks careful. Drill it.
"""
import json
import os
import random
import threading
import time

import redis

from source import Source

TTL = int(os.environ.get("CACHE_TTL", "60"))


class Cache:
    def __init__(self, redis_address, source):
        self.host, _, self.port = redis_address.partition(":")
        self.source, self.mine = source, threading.local()

    @staticmethod
    def connect(address):
        return Source(address)

    @property
    def redis(self):
        if not hasattr(self.mine, "redis"):   # one connection for each thread
            self.mine.redis = redis.Redis(host=self.host, port=int(self.port), single_connection_client=True)
        return self.mine.redis

    def get(self, tenant, id):
        key = f"shop:product:{tenant}:{id}"
        cached = self.redis.get(key)
        if cached:
            return json.loads(cached), "HIT"
        lock = f"shop:lock:product:{tenant}:{id}"
        if self.redis.set(lock, "1", nx=True, ex=3):        # one of us loads ...
            row = self.source.load(tenant, id)
            self.store(key, row)
            self.redis.delete(lock)
            return row, "MISS"
        time.sleep(0.05)                                    # ... and the others wait
        return self.get(tenant, id)

    def store(self, key, row):
        self.redis.setex(key, TTL + random.randint(0, max(1, TTL // 4)), json.dumps(row))

    def write(self, tenant, id, title):
        self.source.write(tenant, id, title)
        self.redis.delete(f"shop:product:{tenant}:{id}")

    def delete(self, tenant, id):
        self.source.delete(tenant, id)
        self.redis.delete(f"shop:product:{tenant}:{id}")

    def refresh(self, n):
        """What the worker does: the rows that are asked for most get into the cache before they are missed."""
        for row in self.source.newest(n):
            key = f"shop:product:{row['tenant']}:{row['id']}"
            if self.redis.ttl(key) < TTL // 4:
                self.store(key, row)
