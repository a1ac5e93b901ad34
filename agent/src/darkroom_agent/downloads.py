"""Fetching one link: http and https from public addresses, S3 from allowed buckets."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from darkroom.aws.blob_store import split_link
from darkroom.errors import TaskFailedError
from darkroom.ports import BlobStore
from darkroom_agent import metrics
from darkroom_agent.addresses import ForbiddenAddressError, Network, guarded_socket
from darkroom_agent.caches import InputCache
from darkroom_agent.faults import AWS_FAULTS, FailedForNowError, backoff, describe, is_passing
from darkroom_agent.links import Link
from darkroom_agent.logs import EventLog
from darkroom_agent.threads import Threads

log = EventLog(__name__)

TRIES = 3
REDIRECTS = 5
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 425, 429})
_OK = 200
_NOT_MODIFIED = 304
_SERVER_FAULT = 500
_CHUNK = 256 * 1024


class TransientFetchError(Exception):
    """The fetch may go right when it is repeated; the message says what happened."""


@dataclass(frozen=True)
class DownloadLimits:
    """What downloads may cost and where they may go.

    Attributes:
        max_bytes: how much all links of one task may hold together.
        seconds: how long one try may take.
        buckets: the S3 buckets that may be read.
        networks: networks that are allowed although they are not public.
        cache_bytes: how much is kept on disk for those who link to it again.
    """

    max_bytes: int
    seconds: float
    buckets: frozenset[str]
    networks: tuple[Network, ...] = ()
    cache_bytes: int = 0


class Budget:
    """How many bytes the links of one task may still bring. It may be used from several threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._left = max_bytes
        self._lock = Lock()

    def check(self, link: Link, size: int) -> None:
        """See that there is so much left.

        Raises:
            TaskFailedError: there is not.
        """
        if size > self._left:
            raise self._too_large(link)

    def take(self, link: Link, size: int) -> None:
        """Use some of it.

        Raises:
            TaskFailedError: there is not that much left.
        """
        with self._lock:
            self._left -= size
            short = self._left < 0
        if short:
            raise self._too_large(link)

    @contextmanager
    def trial(self, link: Link) -> Iterator[Callable[[int], None]]:
        """A function that takes bytes for one try; where that comes to nothing, they are given back."""
        taken, is_over = 0, False

        def take(size: int) -> None:
            nonlocal taken
            if is_over:  # a thread went on after its time
                raise TransientFetchError("the try is over")
            taken += size
            self.take(link, size)

        try:
            yield take
        except BaseException:
            is_over = True
            with self._lock:
                self._left += taken
            raise

    def _too_large(self, link: Link) -> TaskFailedError:
        message = f"{link.place}: the task's inputs are larger than {self._max_bytes} bytes together"
        return TaskFailedError("input_too_large", message)


class Downloads:
    """Fetches links. One for the process; a context manager, since it holds connections."""

    def __init__(self, blobs: BlobStore, threads: Threads, limits: DownloadLimits) -> None:
        self._blobs = blobs
        self._threads = threads
        self._limits = limits
        self._cache = InputCache(limits.cache_bytes)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            socket_factory=guarded_socket(self._limits.networks), limit_per_host=8, force_close=True
        )
        # no proxy from the environment: it would connect for us, and the address would not be ours to check
        self._session = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=20),
            headers={"User-Agent": "darkroom-agent", "Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        await self._threads(self._cache.close)

    def budget(self) -> Budget:
        """What one task may fetch."""
        return Budget(self._limits.max_bytes)

    async def fetch(self, link: Link, budget: Budget) -> bytes | bytearray:
        """Fetch what the link leads to; a buffer may be large, so it is not copied.

        Raises:
            TaskFailedError: `input_forbidden`, `input_too_large` or `input_unavailable`.
        """
        for attempt in range(1, TRIES + 1):
            try:
                async with asyncio.timeout(self._limits.seconds):
                    return await self._fetch(link, budget)
            except TransientFetchError as error:
                reason = str(error)
            except TimeoutError:
                reason = f"no whole answer within {self._limits.seconds:g} s"
            log.warning("input_failed", place=link.place, attempt=attempt, reason=reason)
            if attempt < TRIES:
                metrics.RETRIES.labels("input").inc()
                await asyncio.sleep(backoff(attempt))
        raise FailedForNowError("input_unavailable", f"{link.place}: {reason} ({TRIES} tries)")

    async def _fetch(self, link: Link, budget: Budget) -> bytes | bytearray:
        if link.url.lower().startswith("s3://"):
            return await self._fetch_s3(link, budget)
        try:
            return await self._fetch_http(link, budget)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ForbiddenAddressError):
                message = f"{link.place}: {error.host} has no public address"
                raise TaskFailedError("input_forbidden", message) from error
            raise TransientFetchError(f"no connection to {error.host}") from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise TaskFailedError("input_unavailable", f"{link.place}: is no URL that can be fetched") from error
        except aiohttp.ClientError as error:
            raise TransientFetchError(f"the connection failed ({type(error).__name__})") from error

    async def _fetch_http(self, link: Link, budget: Budget) -> bytes | bytearray:
        url = URL(link.url)
        for _ in range(REDIRECTS + 1):
            if self._session is None:
                raise RuntimeError("downloads are used outside their context")
            tag = self._cache.tag(str(url))  # of this address, not of the link: a tag says nothing elsewhere
            condition = {"If-None-Match": tag} if tag else {}
            async with self._session.get(url, headers=condition, allow_redirects=False) as answer:
                if tag and answer.status == _NOT_MODIFIED:
                    return await self._reuse(link, str(url), tag, budget)
                if answer.status not in _REDIRECT:
                    data = await self._read(link, answer, budget)
                    await self._threads(self._cache.keep, str(url), answer.headers.get("ETag", ""), data)
                    return data
                target = url.join(URL(answer.headers.get("Location", "")))
            if target.scheme not in {"http", "https"} or not target.host:
                raise TaskFailedError("input_forbidden", f"{link.place}: is redirected to no http or https URL")
            url = target
        raise TaskFailedError("input_unavailable", f"{link.place}: is redirected more than {REDIRECTS} times")

    async def _reuse(self, link: Link, url: str, tag: str, budget: Budget) -> bytes:
        """What was downloaded before and is still the same."""
        data = await self._threads(self._cache.read, url, tag)
        if data is None:
            raise TransientFetchError("it was in the cache, and is no more")
        budget.take(link, len(data))
        return data

    async def _read(self, link: Link, answer: aiohttp.ClientResponse, budget: Budget) -> bytes | bytearray:
        if answer.status >= _SERVER_FAULT or answer.status in _LATER:
            raise TransientFetchError(f"the server answered {answer.status}")
        if answer.status != _OK:
            raise TaskFailedError("input_unavailable", f"{link.place}: the server answered {answer.status}")
        budget.check(link, answer.content_length or 0)
        data = bytearray()
        with budget.trial(link) as take:
            async for chunk in answer.content.iter_chunked(_CHUNK):
                data += chunk
                take(len(chunk))
        return data

    async def _fetch_s3(self, link: Link, budget: Budget) -> bytes | bytearray:
        try:
            bucket, key = split_link("s3" + link.url[2:])
        except ValueError as error:
            raise TaskFailedError("input_unavailable", f"{link.place}: is no s3://bucket/key") from error
        if bucket not in self._limits.buckets or key.startswith("."):  # .requests/ holds what others asked for
            raise TaskFailedError("input_forbidden", f"{link.place}: inputs are not read from there")
        url = f"s3://{bucket}/{key}"
        tag = self._cache.tag(url)
        try:
            with budget.trial(link) as take:
                found = await self._threads(self._blobs.get_other, url, tag, take)
        except FileNotFoundError as error:
            raise TaskFailedError("input_unavailable", f"{link.place}: there is no such file") from error
        except AWS_FAULTS as error:
            if is_passing(error):
                raise TransientFetchError("S3 did not answer") from error
            log.warning("input_refused", place=link.place, error=describe(error))
            raise TaskFailedError(
                "input_unavailable", f"{link.place}: S3 has no such file, or does not give it"
            ) from error
        if found is None:
            return await self._reuse(link, url, tag, budget)
        await self._threads(self._cache.keep, url, found.tag, found.data)
        return found.data
