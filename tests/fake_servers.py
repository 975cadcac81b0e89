"""A local server that answers like Zenodo's API and like Drive, faults included."""

import hashlib
import json
import re
import threading
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

RECORD = "/api/records/6321172"
QUOTA_PAGE = (b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>"
              b'<p class="uc-error-caption">Sorry, you can\'t view or download this file at this time.'
              b'</p><p class="uc-error-subcaption">Too many users have viewed or downloaded this file '
              b"recently.</p></body></html>")


def _start(asked: str | None) -> int:
    found = re.fullmatch(r"bytes=(\d+)-", asked or "")
    return int(found[1]) if found else 0


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; the first fault waiting for a path answers in its place."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        key = unquote(url.path)
        self.server.asked.append((key, self.headers.get("Range"), self.headers.get("User-Agent")))
        waiting = self.server.faults.get(key, [])
        body = self.server.files.get(key)
        if waiting:
            (waiting[0][0] if isinstance(waiting[0], list) else waiting.pop(0))(self, body)
        elif body is None:
            self.give(b'{"status": 404, "message": "The record does not exist."}', 404)
        else:
            self.give(body, start=_start(self.headers.get("Range")))

    def give(self, body: bytes, status: int = 200, start: int = 0, sent: int | None = None, **headers):
        """Answer with `body` from `start`; of what is announced only `sent` bytes may come."""
        self.send_response(206 if start else status)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        for name, value in ({"Content_Type": "application/octet-stream"} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:] if sent is None else body[start:start + sent])
        if sent is not None:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """Files by path, faults waiting by path, and what was asked: (path, Range, User-Agent)."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Callable | list[Callable]]] = {}  # a list is of one that lasts
        self.asked: list[tuple[str, str | None, str]] = []
        self.closing = threading.Event()

    def handle_error(self, *_):
        """A client that hangs up is part of the tests."""

    def record(self, files: dict[str, bytes], sizes: dict[str, int] | None = None) -> None:
        """Publish a record as Zenodo lists it (records API since October 2023)."""
        listed = []
        for name, body in files.items():
            path = f"{RECORD}/files/{name}/content"
            self.files[path] = body
            listed.append({"id": hashlib.md5(name.encode()).hexdigest(), "key": name,
                           "size": (sizes or {}).get(name, len(body)),
                           "checksum": f"md5:{hashlib.md5(body).hexdigest()}",
                           "links": {"self": f"{self.address}{RECORD}/files/{quote(name, safe='')}/content"}})
        self.files[RECORD] = json.dumps({
            "id": 6321172, "conceptrecid": "6321171", "doi": "10.5281/zenodo.6321172", "state": "done",
            "files": listed, "links": {"self": self.address + RECORD}}).encode()

    def fail(self, name: str, *faults: Callable) -> None:
        """Let the next requests for a file of the record (or a path) meet these faults."""
        path = name if name.startswith("/") else f"{RECORD}/files/{name}/content"
        self.faults[path] = list(faults)

    def starts(self, name: str) -> list[int]:
        """The byte from which each request for a file of the record wanted it."""
        return [_start(asked) for path, asked, _ in self.asked if path == f"{RECORD}/files/{name}/content"]


@contextmanager
def serving():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
    thread.join(5)


def always(fault: Callable) -> list[Callable]:
    """The fault at every request, not only the next."""
    return [fault]


def status(code: int, **headers: str) -> Callable:
    return lambda handler, _: handler.give(b"{}", code, **headers)


def cut(sent: int) -> Callable:
    """The connection breaks after so many bytes."""
    return lambda handler, body: handler.give(body, start=_start(handler.headers.get("Range")), sent=sent)


def instead(other: bytes) -> Callable:
    """Other bytes, as if they were the file."""
    return lambda handler, _: handler.give(other)


def rangeless(handler, body: bytes) -> None:
    """The whole file, although a part was asked for."""
    handler.give(body)


def circle(handler, _) -> None:
    handler.give(b"", 302, Location=handler.path)


def silent(handler, _) -> None:
    handler.server.closing.wait(30)
    handler.close_connection = True


def trickle(handler, body: bytes) -> None:
    """One byte every twentieth of a second: no single wait is long, the whole is endless."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    for at in range(len(body)):
        if handler.server.closing.wait(0.05):
            break
        handler.wfile.write(body[at:at + 1])
