"""httpx, as both performers use it: options, requests, answers, and its errors as ours."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from darkroom import __version__
from darkroom_cli.errors import ConfigurationError, TransferError, UnexpectedAnswerError, UnreachableError
from darkroom_cli.flows import Answer, Send, Transfer
from darkroom_cli.limits import Limits

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def storage_options(limits: Limits) -> dict[str, Any]:
    """How to speak to whoever keeps the files. Redirects are not followed: a presigned link leads where it says."""
    headers = {"User-Agent": f"darkroom-cli/{__version__}"}
    return {"timeout": _timeout(limits), "headers": headers, "verify": _certificates()}


def api_options(url: str, key: str, limits: Limits) -> dict[str, Any]:
    """How to speak to the API.

    Raises:
        ConfigurationError: the address or the key cannot be one.
    """
    try:
        address = httpx.URL(url.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{url!r} is no address: {error}") from error
    if address.scheme not in {"http", "https"} or not address.host:
        raise ConfigurationError(f"{url!r} is no address of an API: it begins with https:// (or http://)")
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigurationError("The API key is empty, or has characters that no key has.")
    options = storage_options(limits)
    headers = options["headers"] | {"x-api-key": key, "Accept": "application/json, application/problem+json"}
    return options | {"base_url": address, "headers": headers}


def request_options(send: Send, limits: Limits) -> dict[str, Any]:
    """One request to the API, in httpx's terms."""
    return {
        "method": send.method,
        "url": send.path,
        "params": dict(send.query) or None,
        "headers": dict(send.headers),
        "content": send.body,
        "timeout": _timeout(limits, send.wait),
    }


def read_answer(response: httpx.Response, body: bytes = b"", saved: Path | None = None) -> Answer:
    """A response as flows know it."""
    return Answer(response.status_code, dict(response.headers), body, saved)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what httpx and the file system raise into a `ClientError`; `what` is whom we speak to."""
    try:
        yield
    except httpx.TimeoutException as error:
        sent = not isinstance(error, _NOT_SENT)
        raise UnreachableError(f"{what} took too long to {'answer' if sent else 'connect'}", sent=sent) from error
    except httpx.DecodingError as error:
        raise UnexpectedAnswerError(f"{what} sent what cannot be decoded: {error}") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise ConfigurationError(f"{what}: {error}") from error
    except httpx.TransportError as error:
        sent = not isinstance(error, _NOT_SENT)
        reason = str(error) or "the connection was cut"
        raise UnreachableError(f"{what} cannot be reached: {reason}", sent=sent) from error
    except OSError as error:
        raise TransferError(f"{error.filename or 'the file'}: {error.strerror or error}") from error


class Tally:
    """Tells a transfer's listener what has moved, and takes it back where the transfer comes to nothing."""

    def __init__(self, transfer: Transfer) -> None:
        length = {"Content-Length": str(transfer.source.length)} if transfer.source else {}
        self.headers: Mapping[str, str] = {**transfer.headers, **length}
        self._moved = transfer.moved
        self._sum = 0
        self._good = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._good:
            self.add(-self._sum)

    def add(self, amount: int) -> None:
        """So many bytes have moved."""
        self._sum += amount
        if self._moved is not None and amount:
            self._moved(amount)

    def close(self, answer: Answer) -> Answer:
        """The transfer is over, and came to this answer."""
        self._good = answer.ok
        return answer


@cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust: read once, since it takes longer than a request does."""
    return httpx.create_ssl_context()


def _timeout(limits: Limits, wait: float = 0) -> httpx.Timeout:
    timeouts = limits.timeouts
    return httpx.Timeout(
        connect=timeouts.connect, read=timeouts.read + wait, write=timeouts.write, pool=timeouts.read
    )
