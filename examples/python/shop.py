"""The HTTP face of the shop. It is the same for both caches, so that they are all that differs.

    GET    /products/{id}?tenant=T            X-Cache says HIT, STALE or MISS
    GET    /products/{id}?tenant=T&fresh=1    past the cache
    PUT    /products/{id}?tenant=T            {"title": ...}
    DELETE /products/{id}?tenant=T
    GET    /healthz, /metrics
"""
import json
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from source import Overloaded


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    source = cache = None

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_product(self, act):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        try:
            act(query.get("tenant", "none"), url.path.removeprefix("/products/"), query)
        except Overloaded:
            self.answer(503, b"try later", Retry_After="1")
        except Exception:
            self.fail(500)

    def fail(self, status):
        traceback.print_exc(limit=-2)
        self.answer(status, b"it did not work")

    def do_GET(self):
        match urlsplit(self.path).path:
            case "/healthz":
                self.answer(200, b"ok")
            case "/metrics":
                self.answer(200, self.source.metrics().encode(), Content_Type="text/plain; version=0.0.4")
            case path if path.startswith("/products/"):
                self.handle_product(self.read)
            case _:
                self.answer(404)

    def read(self, tenant, key, query):
        if query.get("fresh"):
            row, said = self.source.read(tenant, key), "BYPASS"
        else:
            row, said = self.cache.get(tenant, key)
        if row["title"] is None:
            self.answer(404, X_Cache=said)
        else:
            self.answer(200, json.dumps(row).encode(), Content_Type="application/json", X_Cache=said)

    def do_PUT(self):
        title = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["title"]
        self.handle_product(lambda tenant, key, _: (self.cache.write(tenant, key, title), self.answer(204)))

    def do_DELETE(self):
        self.handle_product(lambda tenant, key, _: (self.cache.delete(tenant, key), self.answer(204)))

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):   # a client that has gone is nobody's error
            super().handle_error(request, client_address)


def serve(port, source, cache):
    Handler.source, Handler.cache = source, cache
    Server(("127.0.0.1", port), Handler).serve_forever()
