"""Posting to strangers' addresses over HTTP/1.1: public addresses only, no redirects, within one deadline.

The address is checked where the socket for it is made, so no second look-up of a name can exchange it. No proxy of
the environment is asked: it would connect for us.
"""

import io
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import SplitResult, urlsplit

from darkroom.addresses import ForbiddenAddressError, Network, is_allowed
from darkroom.deliveries import Fault, Reply
from darkroom.models import now

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_READ = 8 * 1024
"""How much of an answer's body is read, in bytes: it says nothing to us, but receivers like to get rid of it."""

AddrInfo: TypeAlias = tuple[Any, Any, int, str, tuple[Any, ...]]

_PORTS = {"https": 443, "http": 80}


_FAULTS: Mapping[type[Exception], Fault] = {  # the first that fits counts
    ForbiddenAddressError: Fault.FORBIDDEN_ADDRESS,
    socket.gaierror: Fault.UNKNOWN_HOST,
    UnicodeError: Fault.UNKNOWN_HOST,  # no name at all, to the codec of names
    TimeoutError: Fault.TIMEOUT,
    ssl.SSLEOFError: Fault.CONNECTION_FAILED,
    ssl.SSLZeroReturnError: Fault.CONNECTION_FAILED,
    ssl.SSLError: Fault.TLS_FAILED,
    OSError: Fault.CONNECTION_FAILED,  # that it broke before an answer came is an OSError, too
    HTTPException: Fault.BAD_ANSWER,
}


@dataclass(frozen=True)
class HttpPoster:
    """A `Poster`.

    Attributes:
        allowed: networks that may be posted to although they are not public, also without TLS.
        seconds: how long one post may take, from the connection to the answer's head. Looking up the host's name
            is not counted: the system's resolver has time limits of its own.
        tls: what is trusted; None for the system's certificates.
    """

    allowed: tuple[Network, ...] = ()
    seconds: float = 10
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """See `Poster.post`."""
        try:
            return self._post(urlsplit(url), body, headers)
        except tuple(_FAULTS) as error:
            return Reply(fault=next(fault for kind, fault in _FAULTS.items() if isinstance(error, kind)))

    def _post(self, url: SplitResult, body: bytes, headers: Mapping[str, str]) -> Reply:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        with closing(_Connection(url, self)) as connection:
            connection.request("POST", target, body, {**headers, "connection": "close"})
            with connection.getresponse() as answer:
                _drain(answer)
                return Reply(status=answer.status, retry_after=_seconds(answer.headers.get("Retry-After"), now()))


class _Deadline:
    """A time that all waiting ends at."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def hold(self, waiter: socket.socket) -> socket.socket:
        """The socket, so that it waits for what is left.

        Raises:
            TimeoutError: nothing is left.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        waiter.settimeout(left)
        return waiter


class _Connection(HTTPConnection):
    """One connection to an address that is allowed."""

    def __init__(self, url: SplitResult, limits: HttpPoster) -> None:
        self.default_port = _PORTS[url.scheme]
        super().__init__(url.hostname or "", url.port or self.default_port)
        self._tls = limits.tls if url.scheme == "https" else None
        self._limits = limits

    def connect(self) -> None:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)  # before the clock runs
        deadline = _Deadline(self._limits.seconds)
        connected = self._connect(found, deadline)
        if self._tls is not None:
            connected = self._tls.wrap_socket(deadline.hold(connected), server_hostname=self.host)
        self.sock = cast("socket.socket", _TimedSocket(connected, deadline))  # has what HTTPConnection uses of one

    def _connect(self, found: Iterable[AddrInfo], deadline: _Deadline) -> socket.socket:
        """A connection to the first address that is allowed and answers."""
        failure: OSError = ForbiddenAddressError()
        for family, kind, protocol, _, address in found:
            if not self._may(str(address[0]).partition("%")[0]):
                continue
            candidate = socket.socket(family, kind, protocol)
            try:
                deadline.hold(candidate).connect(address)
            except OSError as error:
                candidate.close()
                failure = error
            else:
                return candidate
        raise failure

    def _may(self, host: str) -> bool:
        address = ip_address(host)
        if self._tls is not None:
            return is_allowed(address, self._limits.allowed)
        return any(address in network for network in self._limits.allowed)


class _TimedSocket:
    """What `HTTPConnection` needs of a socket; every wait of it ends at the deadline.

    As with a real one, what `makefile` gave goes on when the socket is closed: a response outlives its connection.
    """

    def __init__(self, inner: socket.socket, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline
        self._reader: _Reader | None = None

    def sendall(self, data: bytes) -> None:
        self._deadline.hold(self._inner).sendall(data)

    def recv_into(self, buffer: "WriteableBuffer") -> int:
        return self._deadline.hold(self._inner).recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._reader = _Reader(self)
        return io.BufferedReader(self._reader)

    def close(self) -> None:
        if self._reader is None or self._reader.closed:
            self._inner.close()


class _Reader(io.RawIOBase):
    def __init__(self, source: _TimedSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        return self._source.recv_into(buffer)

    def close(self) -> None:
        super().close()
        self._source.close()


def _drain(answer: HTTPResponse) -> None:
    """Take some of the body; the answer has been given already, so nothing can go wrong any more."""
    try:
        answer.read(MAX_READ)
    except (OSError, HTTPException):
        return


def _seconds(retry_after: str | None, at: datetime) -> float | None:
    """`Retry-After` in seconds (RFC 9110, section 10.2.3: a number or a date), None where it says nothing."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - at).total_seconds())
    except (ValueError, TypeError):
        return None
