"""The emulated AWS: moto's server in a process of its own, with what Darkroom's templates need beyond moto.

`python -m darkroom_local.aws.server --port 0` prints `ready http://127.0.0.1:PORT` and serves until SIGTERM. Beside
AWS's APIs and moto's own (`/moto-api/…`) it answers:

- `GET /darkroom/resources`: what the local cloud hosts itself, resolved (see `aws.types`), as a JSON list;
- `PUT /darkroom/functions`: the body is the URL of Lambda's Invoke API for them (see `aws.targets`).

It is faster than moto's own server: connections stay open, and the service of a host name is looked up once.
"""

import argparse
import io
import json
import logging
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from darkroom_local.aws import services, targets, types

_LOG = logging.getLogger(__name__)
_HOST = "127.0.0.1"
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class KeepAliveHandler(MotoRequestHandler):
    """Answers many requests on one connection.

    werkzeug's own handler waits up to 10 ms after each response for what is left of the request, and then closes.
    Here the body is read before the application runs, and the response has a length, so neither is needed.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # http.server flushes after each request

    def make_environ(self) -> dict[str, Any]:
        """Adds the body, read to its end."""
        self.wfile.flush()  # `100 Continue`, where the client waits for it
        environ = super().make_environ()
        length = int(environ.get("CONTENT_LENGTH") or 0)
        chunked = environ.get("wsgi.input_terminated")
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read() if chunked else self.rfile.read(length))
        return environ

    def run_wsgi(self) -> None:
        """Runs the application and sends what it returns as one response."""
        status, headers = "", []

        def start_response(new_status: str, new_headers: list[tuple[str, str]], _: object = None, /) -> Any:  # noqa: ANN401  werkzeug's `write`
            nonlocal status, headers
            status, headers = new_status, new_headers

        try:
            body = b"".join(self.server.app(self.make_environ(), start_response))
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001  one broken request must not end the connection's thread
            _LOG.exception("request_failed", extra={"path": self.path})
            status, headers, body = "500 Internal Server Error", [], b""
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        bodiless = self.command == "HEAD" or int(code) in {204, 304}
        if not bodiless and "content-length" not in {name.lower() for name, _ in headers}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not bodiless:
            self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged."""


class Application(DomainDispatcherApplication):
    """moto's services, and the local cloud's own two routes."""

    def __init__(self) -> None:
        """Serves every service that moto has."""
        super().__init__(create_backend_app)
        # some 200 regular expressions for each request, under a lock
        self.get_backend_for_host = lru_cache(maxsize=None)(super().get_backend_for_host)  # type: ignore[method-assign]

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request (WSGI)."""
        match environ["REQUEST_METHOD"], environ.get("PATH_INFO"):
            case "GET", "/darkroom/resources":
                body = json.dumps(list(types.RECORDS.values()), default=str).encode()
            case "PUT", "/darkroom/functions":
                targets.FUNCTIONS.url = environ["wsgi.input"].read().decode()
                body = b"{}"
            case _:
                response: Iterable[bytes] = super().__call__(environ, start_response)
                return response
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def main(arguments: list[str] | None = None) -> None:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    options = parser.parse_args(arguments)
    server = make_server(_HOST, options.port, Application(), threaded=True, request_handler=KeepAliveHandler)
    url = f"http://{_HOST}:{server.port}"
    logging.getLogger("moto.stepfunctions.parser.asl.parse.preprocessor").setLevel(logging.ERROR)  # see `map_runs`
    mock_random.seed()  # a fork would draw the same ids as any other of the same process
    services.install(url)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # all state is in memory: nothing is to be put in order
    print(f"ready {url}", flush=True)  # noqa: T201  what the starting process waits for
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
