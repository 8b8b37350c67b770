"""A real HTTP server on the loopback that serves one folder, resumes by Range, and can break off on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@dataclass
class Served:
    """What the server does and saw: it stops after ``break_after`` bytes of an answer, once."""

    folder: Path
    port: int = 0
    break_after: int | None = None
    resumes: bool = True
    ranges: list[str | None] = field(default_factory=list)

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, served: Served, *arguments: object) -> None:
        self.served = served
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        served = self.served
        asked = self.headers.get("Range")
        served.ranges.append(asked)
        path = served.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and served.resumes else 0
        if start >= len(content) and start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if served.break_after is not None:
            body, served.break_after = body[: served.break_after], None
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    served = Served(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, served))
    served.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
