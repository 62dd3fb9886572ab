"""A server with PhysioNet's layout, which knows ranges, and can break off or spoil a file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PhysioNet(BaseHTTPRequestHandler):
    """Serves the files of one database.

    Attributes
    ----------
    prefix : path of the folder of the files
    files : by name
    asked : path and range of each request
    breaks, spoils : names of files that are sent half, once, or with another last byte
    pages : further paths
    """

    prefix: str
    files: dict[str, bytes]
    asked: list[tuple[str, str | None]]
    breaks: set[str]
    spoils: set[str]
    pages: dict[str, bytes]

    def do_GET(self) -> None:
        asked_range = self.headers.get("Range")
        self.asked.append((self.path, asked_range))
        name = self.path.removeprefix(f"{self.prefix}/")
        body = self.pages.get(self.path) or self.files.get(name)
        if body is None:
            self.send_error(404)
            return
        start = int(asked_range[6:-1]) if asked_range else 0
        if name in self.spoils:
            body = body[:-1] + b"?"
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + (len(body) - start) // 2 if name in self.breaks else len(body)
        self.wfile.write(body[start:end])
        self.breaks.discard(name)

    def do_HEAD(self) -> None:
        body = self.files.get(self.path.removeprefix(f"{self.prefix}/"))
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(prefix: str, files: dict[str, bytes]) -> Iterator[tuple[str, type[PhysioNet]]]:
    """Serve files with their sums; gives the server's address, and the class that answers."""
    sums = "".join(f"{hashlib.sha256(body).hexdigest()} {name}\n" for name, body in files.items())
    handler = type(
        "Handler",
        (PhysioNet,),
        {
            "prefix": prefix,
            "files": files | {"SHA256SUMS.txt": sums.encode()},
            "asked": [],
            "breaks": set(),
            "spoils": set(),
            "pages": {},
        },
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
