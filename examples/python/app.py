"""Starts the shop: the system of record, the worker, and the HTTP face, each a process of its own.

    CACHE=textbook|repaired  PORT  REDIS=host:port  SOURCE=host:port (where the database is reached)
    DB_PORT (where it listens)  DB_DELAY_MS  CACHE_TTL  WORKER_ROWS (0: no worker)  WORKER_EVERY
"""
import importlib
import os
import subprocess
import sys
import tempfile
import time
import socket

import shop
import worker

env = os.environ.get
here = os.path.dirname(os.path.abspath(__file__))


def wait_for(address):
    host, _, port = address.partition(":")
    for _ in range(200):
        try:
            return socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing answers at {address}")


def main():
    module = importlib.import_module(env("CACHE", "textbook"))
    source = module.Cache.connect(env("SOURCE", "127.0.0.1:18092"))
    cache = module.Cache(env("REDIS", "127.0.0.1:6379"), source)
    if sys.argv[1:] == ["worker"]:
        worker.work(source, cache, int(env("WORKER_ROWS", "50")), float(env("WORKER_EVERY", "1")))
    db_port = env("DB_PORT", "18092")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.Popen([sys.executable, os.path.join(here, "catalogue.py"), db_port, os.path.join(folder, "shop.db")])
        wait_for(f"127.0.0.1:{db_port}")
        if env("WORKER_ROWS", "50") != "0":
            subprocess.Popen([sys.executable, os.path.abspath(__file__), "worker"])
        shop.serve(int(env("PORT", "18091")), source, cache)


if __name__ == "__main__":
    main()
