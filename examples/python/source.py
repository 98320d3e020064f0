"""The client of the system of record: a bounded pool of connections, and counters of what it was asked."""
import http.client
import json
import queue
import threading

# The widths that are told apart: how many loads of one key were under way at once.
WIDTHS = (1, 2, 3, 4, 6, 8, 16, 32)


class Overloaded(Exception):
    """There was no connection free in time: nothing was asked."""


class Source:
    """At most `pool` queries at a time. `timeout` is for an answer, `write_timeout` for that to a write, `patience` for a free
    connection; None waits for ever."""

    def __init__(self, address, pool=16, timeout=None, write_timeout=None, patience=None):
        self.address, self.timeout, self.write_timeout, self.patience = address, timeout, write_timeout, patience
        self.free = queue.LifoQueue()
        for _ in range(pool):
            self.free.put(None)
        self.lock = threading.Lock()
        self.queries = 0
        self.in_flight = {}                 # loads by key
        self.widths = [0] * (len(WIDTHS) + 1)
        self.width_sum = 0

    def load(self, tenant, key):
        """The row as it is, for a cache to keep: {tenant, id, title or None, version}."""
        at = (tenant, key)
        with self.lock:
            n = self.in_flight[at] = self.in_flight.get(at, 0) + 1
            self.widths[next((i for i, most in enumerate(WIDTHS) if n <= most), len(WIDTHS))] += 1
            self.width_sum += n
        try:
            return self.query("GET", f"/rows/{tenant}/{key}")
        finally:
            with self.lock:
                self.in_flight[at] -= 1
                if not self.in_flight[at]:
                    del self.in_flight[at]

    def read(self, tenant, key):
        """The row as it is, for nobody's cache."""
        return self.query("GET", f"/rows/{tenant}/{key}")

    def write(self, tenant, key, title):
        """Gives the version that the write made."""
        return self.query("PUT", f"/rows/{tenant}/{key}", {"title": title})["version"]

    def delete(self, tenant, key):
        return self.query("DELETE", f"/rows/{tenant}/{key}")["version"]

    def newest(self, n):
        """The rows that changed last."""
        return self.query("GET", f"/rows?newest={n}")

    def query(self, method, path, body=None):
        try:
            connection = self.free.get(timeout=self.patience)
        except queue.Empty:
            raise Overloaded(f"no connection to the source within {self.patience} s") from None
        try:
            if connection is None:
                connection = http.client.HTTPConnection(self.address, timeout=self.timeout)
                connection.connect()
            connection.sock.settimeout(self.timeout if method == "GET" else self.write_timeout)
            with self.lock:
                self.queries += 1
            connection.request(method, path, json.dumps(body) if body else None)
            answer = json.loads(connection.getresponse().read())
        except BaseException:
            if connection is not None:
                connection.close()
            connection = None               # whatever answer is under way there belongs to nobody
            raise
        finally:
            self.free.put(connection)
        return answer

    def metrics(self):
        """What Prometheus reads."""
        with self.lock:
            lines = ["# TYPE db_queries_total counter", f"db_queries_total {self.queries}",
                     "# HELP db_load_width Loads of the same key under way when one began, itself included.",
                     "# TYPE db_load_width histogram"]
            total = 0
            for most, n in zip((*WIDTHS, "+Inf"), self.widths):
                total += n
                lines.append(f'db_load_width_bucket{{le="{most}"}} {total}')
            lines += [f"db_load_width_sum {self.width_sum}", f"db_load_width_count {total}"]
        return "\n".join(lines) + "\n"
