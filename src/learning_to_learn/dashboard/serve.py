"""The page on 127.0.0.1, live while a sweep runs, with the files that it links to."""

import hashlib
import mimetypes
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from learning_to_learn.dashboard.data import collect
from learning_to_learn.dashboard.page import to_json, without_data
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.evaluation_files import draw_missing

ADDRESS, PORT = "127.0.0.1", 8765
FRESH_SECONDS = 2.0
"""How old what is sent may be: many pages make no more work than one."""
SERVED = {".png", ".csv", ".json", ".yaml", ".log", ".ckpt", ".diff"}


class Server(ThreadingHTTPServer):
    """Serves the runs under `folder`. Raises UserError where the port is taken."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = PORT) -> None:
        self.folder = folder.resolve()
        self._lock, self._made, self._body, self._tag = threading.Lock(), float("-inf"), b"", ""
        try:
            super().__init__((ADDRESS, port), Handler)
        except OSError as error:
            raise UserError(
                f"port {port} cannot be had ({error.strerror}): choose another with port=<number>, 0 for any"
            ) from None

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    def data(self) -> tuple[bytes, str]:
        """The data as JSON, and its tag."""
        with self._lock:
            if time.monotonic() - self._made > FRESH_SECONDS:
                self._body = to_json({**collect(self.folder), "title": self.folder.name, "base": "files/"}).encode()
                self._tag = f'"{hashlib.sha256(self._body).hexdigest()[:16]}"'
                self._made = time.monotonic()
            return self._body, self._tag

    def find(self, path: str) -> Path | None:
        """A file of a run; None for whatever is not under the folder or of no kind that a run has.

        The pictures of a sweep's jobs are drawn when they are asked for first.
        """
        found = (self.folder / path).resolve()
        if found.suffix == ".png" and not found.exists() and found.parents[1].is_relative_to(self.folder):
            with self._lock:
                draw_missing(found.parents[1])
        return found if found.is_relative_to(self.folder) and found.suffix in SERVED and found.is_file() else None


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.headers.get("Host", "").split(":")[0] not in (ADDRESS, "localhost"):  # another site's name for this address
            self.send_error(403)
            return
        path = unquote(urlsplit(self.path).path)
        if path == "/":
            self._send(without_data().encode(), "text/html; charset=utf-8")
        elif path == "/data.json":
            body, tag = self.server.data()
            if self.headers.get("If-None-Match") == tag:
                self.send_response(304)
                self.end_headers()
            else:
                self._send(body, "application/json", tag)
        else:
            file = self.server.find(path.removeprefix("/files/")) if path.startswith("/files/") else None
            if file is None:
                self.send_error(404)
            else:
                kind = "text/plain; charset=utf-8" if file.suffix in (".yaml", ".log", ".csv", ".diff") else None
                self._send(file.read_bytes(), kind or mimetypes.guess_type(file.name)[0] or "application/octet-stream")

    def _send(self, body: bytes, kind: str, tag: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the console is the user's."""
