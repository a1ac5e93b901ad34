"""A small Darkroom on loopback whose answers a test can script: the v1 API and the storage behind its links."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
KEY = "test-key"


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What to answer. `cut` ends the connection instead: with nothing said, or after half of a body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0
    cut: bool = False

    def data(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def problem(status: int, kind: str, **more: Any) -> Reply:
    """An answer as the API refuses."""
    body = {"type": f"urn:darkroom:problem:{kind}", "title": f"It is a {kind}.", "status": status, **more}
    return Reply(status, body, {"Content-Type": "application/problem+json"})


CUT = Reply(cut=True)


class StubDarkroom:
    """Answers from `script` first, then as an API would: tasks run while they are looked at, and succeed."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.script: list[Reply] = []
        self.tasks: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.looks = 2
        self.on_request: Callable[[Seen], Reply | None] | None = None
        self.url = ""
        self._lock = threading.Lock()

    def requests(self, method: str, path: str) -> list[Seen]:
        """Those that came so far."""
        return [it for it in self.seen if (it.method, it.path) == (method, path)]

    def add(self, id_: str, **changes: Any) -> dict[str, Any]:
        """Have a task."""
        self.tasks[id_] = self._new(id_) | changes
        return self.tasks[id_]

    def answer(self, seen: Seen) -> Reply:
        """What to say to a request."""
        with self._lock:
            self.seen.append(seen)
            if self.script:
                return self.script.pop(0)
            own = self.on_request(seen) if self.on_request else None
            if own is not None:
                return own
            if seen.path.startswith("/storage/"):
                return self._storage(seen)
            if seen.headers.get("x-api-key") != KEY:
                return problem(401, "unauthorized")
            return self._route(seen)

    def _route(self, seen: Seen) -> Reply:
        match seen.path.removeprefix("/prod/v1/").split("/"):
            case ["tasks", id_, *action] if id_ in self.tasks:
                return self._task(seen.method, id_, action)
            case ["runtimes", *_] if seen.method == "GET":
                return Reply(200, RUNTIME if seen.path.endswith("sdruntime") else {"runtimes": [RUNTIME]})
            case [name] if (found := self._collections.get((seen.method, name))) is not None:
                return found(seen)
            case ["runtimes", "sdruntime", "redrive"]:
                return Reply(200, {"moved": 3})
        return problem(404, "not-found")

    @property
    def _collections(self) -> dict[tuple[str, str], Callable[[Seen], Reply]]:
        return {
            ("POST", "tasks"): lambda seen: Reply(202, self._submit(seen.json, seen)),
            ("POST", "tasks:batch"): lambda seen: Reply(
                200, {"items": [self._batch_item(form, seen) for form in seen.json["tasks"]]}
            ),
            ("GET", "tasks"): self._list,
            ("POST", "uploads"): self._start_upload,
            ("POST", "uploads:complete"): lambda seen: Reply(200, {"uri": seen.json["uri"]}),
        }

    def _task(self, method: str, id_: str, action: list[str]) -> Reply:
        match method, action:
            case "POST", ["cancel"]:
                return Reply(200, self.add(id_, status="cancelled"))
            case "POST", ["retry"]:
                return Reply(202, self.add(id_))
            case "DELETE", []:
                del self.tasks[id_]
                return Reply(204)
        return Reply(200, self._look(id_))

    def _submit(self, form: dict[str, Any], seen: Seen) -> dict[str, Any]:
        id_ = form.get("id") or f"key-{seen.headers['idempotency-key']}"
        return self.add(id_, type=form["type"], runtime=form["runtime"], context=form.get("context", {}))

    def _batch_item(self, form: dict[str, Any], seen: Seen) -> dict[str, Any]:
        if form["runtime"] != "sdruntime":
            return {"status": 400, "problem": problem(400, "unknown-runtime").body}
        return {"status": 202, "task": self._submit(form, seen)}

    def _look(self, id_: str) -> dict[str, Any]:
        task = self.tasks[id_]
        if task["status"] in {"queued", "running"}:
            task["looks"] += 1
            task["status"] = "running"
            task["progress"] = min(1.0, task["looks"] / self.looks)
            if task["looks"] >= self.looks:
                task |= {"status": "succeeded", "finished_at": "2026-01-31T12:00:03.500Z"}
                name = f"{id_}-abcd-1.png"
                self.files[name] = PNG
                task["images"] = [self.image(name)]
        return task

    def image(self, name: str) -> dict[str, Any]:
        return {"uri": f"s3://bucket/output/{name}", "url": f"{self.url}/storage/{name}?signature=s"}

    def _list(self, seen: Seen) -> Reply:
        tasks = list(reversed(self.tasks.values()))
        if wanted := seen.query.get("status"):
            tasks = [task for task in tasks if task["status"] in wanted]
        start, limit = int(seen.query.get("cursor", ["0"])[0]), int(seen.query["limit"][0])
        following = str(start + limit) if start + limit < len(tasks) else None
        return Reply(200, {"items": tasks[start : start + limit], "next_cursor": following})

    def _start_upload(self, seen: Seen) -> Reply:
        form = seen.json
        uri, link = f"s3://bucket/uploads/u/{form['filename']}", f"{self.url}/storage/{form['filename']}"
        if form["size"] <= 1024:
            return Reply(201, {"uri": uri, "url": link, "headers": {"x-amz-meta-mark": "yes"}})
        sizes = [1024] * (form["size"] // 1024) + [form["size"] % 1024] * (form["size"] % 1024 > 0)
        parts = [{"number": n, "url": f"{link}.{n}", "size": size} for n, size in enumerate(sizes, 1)]
        return Reply(201, {"uri": uri, "upload_id": "u1", "part_size": 1024, "parts": parts})

    def _storage(self, seen: Seen) -> Reply:
        name = seen.path.removeprefix("/storage/")
        if seen.method == "PUT":
            self.files[name] = seen.body
            return Reply(200, headers={"ETag": f'"{name}"'})
        if name not in self.files:
            return Reply(404, b"<Error/>")
        return Reply(200, self.files[name], {"Content-Type": "image/png"})

    def _new(self, id_: str) -> dict[str, Any]:
        return {
            "id": id_,
            "display_name": f"2026-01-31 12:00:00->txt2img->in progress->{id_}",
            "type": "text-to-image",
            "status": "queued",
            "runtime": "sdruntime",
            "created_at": "2026-01-31T12:00:00.000Z",
            "started_at": None,
            "finished_at": None,
            "progress": None,
            "images": [],
            "error": None,
            "looks": 0,
            "from_the_future": True,
        }


RUNTIME = {
    "name": "sdruntime",
    "type": "sdwebui",
    "model": "v1-5.safetensors",
    "dynamic_model": True,
    "task_types": ["text-to-image", "image-to-image", "extra-single-image"],
    "health": {
        "backlog": 2,
        "in_flight": 1,
        "dead_letters": 0,
        "oldest_age_seconds": 75.0,
        "estimated_start_seconds": 4.2,
    },
}


@contextmanager
def serve(stub: StubDarkroom) -> Iterator[StubDarkroom]:
    """Serve it on a free port; `stub.url` says where."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (ConnectionError, ValueError):
                self.close_connection = True

        def _any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = stub.answer(Seen(self.command, parts.path, parse_qs(parts.query), headers, body))
            time.sleep(reply.delay)
            data = reply.data()
            if reply.cut and not data:
                # RST instead of FIN: the caller sees a connection that broke
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if reply.cut else data)
            self.close_connection = self.close_connection or reply.cut

        do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815  the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="stub-darkroom")
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()
