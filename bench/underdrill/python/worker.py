"""The caches in Python, each called as its documentation shows, behind one small HTTP face."""
import http.client
import os
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TTL = int(os.environ["TTL_MS"]) / 1000
REDIS_HOST, _, REDIS_PORT = os.environ.get("REDIS", "").partition(":")


class NotFound(Exception):
    """There is no such row."""


class Source:
    """The client of the source of truth: a connection for each thread, and a second of patience."""

    def __init__(self, address):
        self.address, self.mine = address, threading.local()

    def ask(self, method, key, body=None):
        connection = getattr(self.mine, "connection", None)
        if connection is None:
            connection = self.mine.connection = http.client.HTTPConnection(self.address, timeout=1)
        try:
            connection.request(method, f"/items/{key}", body)
            response = connection.getresponse()
            text = response.read().decode()
        except BaseException:
            connection.close()
            self.mine.connection = None
            raise
        if response.status == 404:
            raise NotFound
        if response.status >= 300:
            raise RuntimeError(f"the source answered {response.status}")
        return text

    def load(self, key):
        return self.ask("GET", key)

    def write(self, key, value):
        self.ask("PUT", key, value)


source = Source(os.environ["SOURCE"])


def dogpile():
    from dogpile.cache import make_region
    region = make_region().configure(
        "dogpile.cache.redis", expiration_time=TTL,
        arguments={"host": REDIS_HOST, "port": int(REDIS_PORT), "db": 0, "redis_expiration_time": int(TTL * 2),
                   "distributed_lock": True, "thread_local_lock": False})
    return (lambda key: region.get_or_create(f"item:{key}", lambda: source.load(key)),
            lambda key: region.delete(f"item:{key}"))


def django():
    from django.conf import settings
    settings.configure(CACHES={"default": {
        "BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"redis://{REDIS_HOST}:{REDIS_PORT}/0",
        "KEY_PREFIX": "item", "TIMEOUT": TTL, "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"}}})
    from django.core.cache import cache
    return (lambda key: cache.get_or_set(key, lambda: source.load(key), TTL), cache.delete)


def flask_caching():
    from flask import Flask
    from flask_caching import Cache
    app = Flask("shop")
    cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_DEFAULT_TIMEOUT": int(TTL), "CACHE_KEY_PREFIX": "item:",
                               "CACHE_REDIS_HOST": REDIS_HOST, "CACHE_REDIS_PORT": int(REDIS_PORT)})

    @cache.memoize(int(TTL))
    def item(key):
        return source.load(key)

    def within(f):
        def call(key):
            with app.app_context():
                return f(key)
        return call
    return within(item), within(lambda key: cache.delete_memoized(item, key))


def cachetools():
    from cachetools import TTLCache, cached
    from cachetools.keys import hashkey
    copies, lock = TTLCache(maxsize=10_000, ttl=TTL), threading.Lock()

    @cached(cache=copies, lock=lock)
    def item(key):
        return source.load(key)

    def forget(key):
        with lock:
            copies.pop(hashkey(key), None)
    return item, forget


get, forget = {"dogpile": dogpile, "django": django, "flask-caching": flask_caching, "cachetools": cachetools}[os.environ["CACHE"]]()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, text=""):
        body = text.encode()
        self.send_response(status)
        self.send_header("X-Worker", os.environ["LISTEN"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def attempt(self, act):
        try:
            text = act(self.path.removeprefix("/items/"))
        except NotFound:
            self.answer(404)
        except Exception:
            traceback.print_exc(limit=-2)
            self.answer(500, "it did not work")
        else:
            self.answer(200, text)

    def do_GET(self):
        if self.path == "/healthz":
            self.answer(200, "ok")
        else:
            self.attempt(get)

    def do_PUT(self):
        value = self.rfile.read(int(self.headers["Content-Length"])).decode()

        def write(key):
            source.write(key, value)
            forget(key)
            return ""
        self.attempt(write)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):   # a client that has gone
            super().handle_error(request, client_address)


host, _, port = os.environ["LISTEN"].partition(":")
Server((host, int(port)), Handler).serve_forever()
