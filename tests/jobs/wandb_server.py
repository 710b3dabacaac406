"""A wandb server for tests: the few calls that the client makes, on loopback, with all that arrives kept."""

import gzip
import json
import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RUN = {
    "id": "UnVuOjE=", "displayName": "run", "config": "{}", "sweepName": None, "historyLineCount": 0, "eventsLineCount": 0,
    "logLineCount": 0, "history": "[]", "events": "[]", "summaryMetrics": "{}", "tags": [], "wandbConfig": "{}",
    "project": {"id": "UHJvamVjdDox", "name": "p", "entity": {"id": "RW50aXR5OjE=", "name": "e"}},
}  # fmt: skip


class WandbServer(ThreadingHTTPServer):
    """Within this context the server answers; `stop` makes it die."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.history: dict[int, dict[str, Any]] = {}
        self.summary: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.runs: set[str] = set()
        self.groups: set[str] = set()
        self.names: set[str] = set()
        self.notes: set[str] = set()
        self.projects: set[str] = set()
        self.tags: set[str] = set()
        self.uploads: dict[str, bytes] = {}
        self.unknown: list[str] = []
        self.completed = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> "WandbServer":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        operation = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = operation[1] if operation else ""
        entity = {"id": "RW50aXR5OjE=", "name": "e", "username": "e", "entity": "e", "flags": "{}", "teams": {"edges": []}}
        if "viewer" in query.lower() and "upsert" not in query.lower():
            return {"viewer": entity, "serverInfo": self.info()}
        if "serverInfo" in query:
            return {"serverInfo": self.info()}
        if "upsertBucket" in query:
            self.runs.add(str(variables.get("name")))
            self.groups.add(str(variables.get("groupName")))
            self.names.add(str(variables.get("displayName")))
            self.notes.add(str(variables.get("notes")))
            self.projects.add(f"{variables.get('entity')}/{variables.get('project')}")
            self.tags |= set(variables.get("tags") or [])
            if variables.get("config"):
                self.config.update(json.loads(variables["config"]))
            run = {**RUN, "name": variables.get("name"), "displayName": variables.get("displayName")}
            return {"upsertBucket": {"bucket": run, "inserted": True}}
        if "createRunFiles" in query:
            files = [{"name": f, "uploadUrl": f"{self.url}/storage/{f}"} for f in variables.get("files", [])]
            return {"createRunFiles": {"runID": "UnVuOjE=", "uploadHeaders": [], "files": files}}
        if "rtifact" in name:
            return self.artifact(name, variables)
        if name == "RunResumeStatus" and str(variables.get("name")) in self.runs and self.history:
            last = json.dumps(self.history[max(self.history)])
            bucket = {**RUN, "name": variables["name"], "summaryMetrics": json.dumps(self.summary), "wandbConfig": "{\"t\": 1}",
                      "config": json.dumps(self.config), "historyLineCount": max(self.history) + 1,
                      "historyTail": json.dumps([last]), "eventsTail": "[]"}  # fmt: skip
            return {"model": {"id": "UHJvamVjdDox", "name": "p", "entity": entity, "bucket": bucket}}
        if "model(" in query or "project(" in query:
            return {"model": {"bucket": None}, "project": {"internalId": "1", "run": None}}
        self.unknown.append(f"{name}: {query[:600]} {json.dumps(variables)[:300]}")
        return {}

    def artifact(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        """An artifact is announced, its manifest and files are uploaded, and it is committed."""
        given = variables.get("input") or variables
        if name == "ArtifactType":
            return {"project": {"artifact": None}}
        if name == "CreateArtifact":
            sequence = {"id": "U2VxOjE=", "latestArtifact": None}
            return {"createArtifact": {"artifact": {"id": "QXJ0OjE=", "state": "PENDING", "artifactSequence": sequence}}}
        if name == "CreateArtifactManifest":
            return {"createArtifactManifest": {"artifactManifest": {"id": "TWFuOjE=", "file": self.upload("manifest.json")}}}
        if name == "CreateArtifactFiles":
            names = [f["name"] for f in variables.get("artifactFiles") or given["artifactFiles"]]
            return {"createArtifactFiles": {"files": {"edges": [{"node": self.upload(f"artifact/{n}")} for n in names]}}}
        if name == "CommitArtifact":
            return {"commitArtifact": {"artifact": {"id": "QXJ0OjE=", "digest": "x"}}}
        self.unknown.append(f"{name}: {json.dumps(variables)[:300]}")
        return {}

    def upload(self, name: str) -> dict[str, Any]:
        """Where a file may be sent to."""
        plain = name.removeprefix("artifact/")
        url = f"{self.url}/storage/{name}"
        return {
            "id": "RmlsZTox",
            "name": plain,
            "displayName": plain,
            "uploadUrl": url,
            "uploadHeaders": [],
            "storagePath": plain,
            "uploadMultipartUrls": None,
            "artifact": {"id": "QXJ0OjE="},
        }

    def info(self) -> dict[str, Any]:
        return {"cliVersionInfo": {"max_cli_version": "9.9.9"}, "latestLocalVersionInfo": None, "features": []}


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer
    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw

    def do_POST(self) -> None:
        body = self.body()
        if self.path.startswith("/graphql"):
            asked = json.loads(body)
            self.answer({"data": self.server.graphql(asked["query"], asked.get("variables") or {})})
        elif "file_stream" in self.path:
            sent = json.loads(body)
            for name, part in (sent.get("files") or {}).items():
                for line, text in enumerate(part["content"], part["offset"]):
                    if name == "wandb-history.jsonl":
                        self.server.history[line] = json.loads(text)
                    elif name == "wandb-summary.json":
                        self.server.summary = json.loads(text)
            self.server.completed |= bool(sent.get("complete"))
            self.answer({"limits": {}})
        else:
            self.server.unknown.append(f"POST {self.path}")
            self.answer({})

    def do_PUT(self) -> None:
        self.server.uploads[self.path.removeprefix("/storage/")] = self.body()
        self.answer({})

    def do_GET(self) -> None:
        self.server.unknown.append(f"GET {self.path}")
        self.answer({})

    def answer(self, what: dict[str, Any]) -> None:
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that has gone
            super().handle()

    def log_message(self, format: str, *arguments: object) -> None:
        pass
