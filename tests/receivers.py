"""A receiver of webhooks on loopback whose answers a test lists."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer with this status; `retry_after` is the header Retry-After."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def raw(*parts: bytes, pause: float = 0) -> Answer:
    """These bytes, with a pause (seconds) after each, and the end of the connection."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        waiting: Any = handler.server
        for part in parts:
            handler.wfile.write(part)
            if waiting.stopping.wait(pause):
                return
        handler.close_connection = True

    return answer


@dataclass
class Receiver:
    """What was received, in order; the last of `answers` is given again and again."""

    answers: list[Answer] = field(default_factory=lambda: [says(204)])
    received: list[Received] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hooks"

    def bodies(self, webhook_id: str) -> list[bytes]:
        return [one.body for one in self.received if one.headers["webhook-id"] == webhook_id]


@contextmanager
def run_receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A running receiver."""
    receiver = Receiver(scheme="http" if tls is None else "https")
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                receiver.received.append(Received(self.path, headers, body))
                answer = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
            try:
                answer(self)
            except OSError:  # the sender has left
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name for it
            del format, args

    class Server(ThreadingHTTPServer):
        stopping = threading.Event()

        def handle_error(self, request: object, client_address: object) -> None:
            del request, client_address  # handshakes that fail are the point of some tests

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="receiver")
    thread.start()
    try:
        yield receiver
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
