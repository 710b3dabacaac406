"""The page on 127.0.0.1, live while a sweep runs, with the files that it links to.

Only this machine can reach it, but every page that its browser shows could ask it, and every program on it can connect: hence
the check of the host's name, the policy, the time-outs and the limit on connections.
"""

import hashlib
import mimetypes
import os
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from learning_to_learn.dashboard.data import collect
from learning_to_learn.dashboard.page import policy, to_json, without_data
from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs.evaluation_files import draw_missing
from learning_to_learn.runs.run_folder import legible

ADDRESS, PORT = "127.0.0.1", 8765
HOSTS = (ADDRESS, "localhost")
FRESH_SECONDS = 2.0
"""How old what is sent may be: many pages make no more work than one."""
TIMEOUT_SECONDS = 10.0
"""How long a connection may say nothing."""
CONNECTIONS = 64
"""The most at a time."""
SERVED = {".png", ".csv", ".json", ".yaml", ".log", ".ckpt", ".diff"}
TEXT = {".yaml", ".log", ".csv", ".diff"}


class Server(ThreadingHTTPServer):
    """Serves the runs under `folder`. Raises UserError where the port is taken."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = PORT) -> None:
        self.folder = folder.resolve()
        self._lock, self._made, self._body, self._tag = threading.Lock(), float("-inf"), b"", ""
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        try:
            super().__init__((ADDRESS, port), Handler)
        except OSError as error:
            raise UserError(
                f"port {port} cannot be had ({error.strerror}): choose another with port=<number>, 0 for any"
            ) from None

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; one connection too many is told so."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.settimeout(1)
            request.sendall(b"HTTP/1.0 503 Too many connections\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection, in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Say in one line what went wrong; that a client has gone is no error."""
        error = sys.exception()
        if error and not isinstance(error, OSError):
            print(f"error: a request failed: {cause_in_a_line(error)}", file=sys.stderr, flush=True)

    def data(self) -> tuple[bytes, str]:
        """The data as JSON, and its tag."""
        with self._lock:
            if time.monotonic() - self._made > FRESH_SECONDS:
                self._body = to_json({**collect(self.folder), "title": legible(self.folder.name), "base": "files/"}).encode()
                self._tag = f'"{hashlib.sha256(self._body).hexdigest()[:16]}"'
                self._made = time.monotonic()
            return self._body, self._tag

    def find(self, path: str) -> Path | None:
        """A file of a run; None for whatever is not under the folder or of no kind that a run has.

        The pictures of a sweep's jobs are drawn when they are asked for first.
        """
        try:
            found = (self.folder / path).resolve()
            if not found.is_relative_to(self.folder) or found.suffix not in SERVED:
                return None
            if found.suffix == ".png" and not found.exists() and found.parents[1].is_relative_to(self.folder):
                with self._lock:
                    draw_missing(found.parents[1])
            return found if found.is_file() else None
        except (OSError, ValueError):  # no name that a file can have
            return None


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = TIMEOUT_SECONDS

    def do_GET(self) -> None:
        """Answer, whatever is asked and whatever happens."""
        try:
            self._answer()
        except OSError:
            raise  # the client has gone
        except Exception:
            self.send_error(500)
            raise

    do_HEAD = do_GET  # noqa: N815

    def _answer(self) -> None:
        """Send the page, its data or a file of a run."""
        if self.headers.get("Host", "").split(":")[0].lower() not in HOSTS:  # another site's name for this address
            self.send_error(403)
            return
        try:
            path = os.fsdecode(unquote_to_bytes(urlsplit(self.path).path))
        except ValueError:
            self.send_error(400)
            return
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
            self._send_file(self.server.find(path.removeprefix("/files/")) if path.startswith("/files/") else None)

    def _send_file(self, file: Path | None) -> None:
        try:
            body = file.read_bytes() if file else None
        except OSError:  # it has just gone
            body = None
        if file is None or body is None:
            self.send_error(404)
            return
        kind = "text/plain; charset=utf-8" if file.suffix in TEXT else mimetypes.guess_type(file.name)[0]
        self._send(body, kind or "application/octet-stream")

    def _send(self, body: bytes, kind: str, tag: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end_headers(self) -> None:
        """Add what every answer carries, errors too."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", f"{policy()}; frame-ancestors 'none'")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the console is the user's."""
