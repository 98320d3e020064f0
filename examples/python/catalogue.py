"""The system of record: products in SQLite, behind a small HTTP server of its own.

It stands where a PostgreSQL would: across a network, so that a drill can slow that network down. An answer takes DB_DELAY_MS, and
what it says is what was true when the query began, as with any database. It numbers the versions of a row inside the
transaction that makes them, and never begins anew, also not after a delete: caches can tell older from newer by them.
"""
import json
import os
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

DELAY = float(os.environ.get("DB_DELAY_MS", "50")) / 1000
WRITES = 0.2    # of that: a row is written faster than one is read with all that belongs to it

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
  tenant TEXT NOT NULL, id TEXT NOT NULL, title TEXT, version INTEGER NOT NULL, changed REAL NOT NULL,
  PRIMARY KEY (tenant, id));
CREATE INDEX IF NOT EXISTS changed ON products (changed);
"""

UPSERT = """
INSERT INTO products (tenant, id, title, version, changed) VALUES (?, ?, ?, 1, ?)
ON CONFLICT (tenant, id) DO UPDATE SET title = excluded.title, version = version + 1, changed = excluded.changed
RETURNING version
"""


class Database:
    """SQLite in WAL mode: readers don't wait for the writer. Every thread has a connection."""

    def __init__(self, path):
        self.path, self.mine, self.writing = path, threading.local(), threading.Lock()
        self.connection().executescript(SCHEMA)

    def connection(self):
        if not hasattr(self.mine, "connection"):
            c = sqlite3.connect(self.path, timeout=10, isolation_level=None)
            c.execute("PRAGMA journal_mode=WAL")
            c.execute("PRAGMA synchronous=NORMAL")
            self.mine.connection = c
        return self.mine.connection

    def read(self, tenant, key):
        row = self.connection().execute(
            "SELECT title, version FROM products WHERE tenant = ? AND id = ?", (tenant, key)).fetchone()
        return {"tenant": tenant, "id": key, "title": row[0] if row else None, "version": row[1] if row else 0}

    def write(self, tenant, key, title):
        with self.writing:
            return self.connection().execute(UPSERT, (tenant, key, title, time.time())).fetchone()[0]

    def newest(self, n):
        rows = self.connection().execute(
            "SELECT tenant, id, title, version FROM products WHERE title IS NOT NULL ORDER BY changed DESC LIMIT ?", (n,))
        return [dict(zip(("tenant", "id", "title", "version"), r)) for r in rows]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    database = None

    def answer(self, value, share=1.0):
        time.sleep(DELAY * share)
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def row(self):
        _, _, tenant, key = urlsplit(self.path).path.split("/")
        return tenant, key

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/":
            self.answer({"here": True})
        elif url.path == "/rows":
            self.answer(self.database.newest(int(parse_qs(url.query)["newest"][0])))
        else:
            self.answer(self.database.read(*self.row()))

    def do_PUT(self):
        title = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["title"]
        self.answer({"version": self.database.write(*self.row(), title)}, WRITES)

    def do_DELETE(self):
        self.answer({"version": self.database.write(*self.row(), None)}, WRITES)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    Handler.database = Database(sys.argv[2])
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
