"""Fetching links over real HTTP: what is followed, what is refused, what is tried again."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from darkroom.errors import TaskFailedError
from darkroom.ports import Blob
from darkroom.testing import InMemoryBlobStore
from darkroom_agent import downloads as module
from darkroom_agent.addresses import Network
from darkroom_agent.downloads import Budget, DownloadLimits, Downloads
from darkroom_agent.faults import FailedForNowError
from darkroom_agent.links import Link
from darkroom_agent.threads import Threads

HERE = ip_network("127.0.0.1/32")
LIMIT = 1000

Fetch = Callable[..., Any]


class Site:
    """A server whose answers a test lists by path, and that counts what it is asked."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Callable[[web.Request], Any]]] = {}
        self.asked: list[str] = []
        self.url = URL()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        answers = self.answers[request.path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        response: web.StreamResponse = await answer(request)
        return response


def says(status: int = 200, body: bytes = b"image", **headers: str) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return answer


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    server = TestServer(made.app())
    await server.start_server()
    made.url = server.make_url("/")
    yield made
    await server.close()


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(2)
    yield made
    made.close()


@pytest.fixture
async def fetch(monkeypatch: pytest.MonkeyPatch, threads: Threads) -> Fetch:
    """Fetches one URL that stands at content.image."""
    monkeypatch.setattr(module, "backoff", lambda _: 0.01)
    blobs = InMemoryBlobStore()
    blobs.files = {
        "s3://mine/a/b.png": b"image",
        "s3://mine/.requests/x.json": b"secret",
        "s3://other/x": b"secret",
    }

    async def one(url: object, networks: tuple[Network, ...] = (HERE,), seconds: float = 5) -> bytes | bytearray:
        limits = DownloadLimits(LIMIT, seconds, frozenset({"mine"}), networks)
        async with Downloads(blobs, threads, limits) as downloads:
            return await downloads.fetch(Link(str(url), ("image",)), downloads.budget())

    return one


async def failure(fetch: Fetch, url: object, **limits: Any) -> TaskFailedError:
    with pytest.raises(TaskFailedError) as caught:
        await fetch(url, **limits)
    assert str(caught.value).startswith("content.image: ")
    return caught.value


async def test_a_link_is_fetched_over_http_and_from_s3(site: Site, fetch: Fetch) -> None:
    site.answers["/x"] = [says()]
    assert b"image" == await fetch(site.url / "x")
    assert b"image" == await fetch("s3://mine/a/b.png")
    assert b"image" == await fetch("S3://mine/a/b.png")


async def test_files_in_s3_that_come_side_by_side_share_the_limit(threads: Threads) -> None:
    admitted: list[int] = []

    class Slow(InMemoryBlobStore):
        def get_other(self, link: str, tag: str, admit: Callable[[int], object] | None = None) -> Blob | None:
            assert admit is not None
            admit(LIMIT - 1)
            admitted.append(LIMIT - 1)  # only then is it read
            together.wait(1)
            return super().get_other(link, tag)

    together, blobs = threading.Event(), Slow()
    blobs.files = {f"s3://mine/{name}": b"image" for name in "ab"}
    async with Downloads(blobs, threads, DownloadLimits(LIMIT, 5, frozenset({"mine"}))) as downloads:
        budget = downloads.budget()
        fetches = [downloads.fetch(Link(link, ("image",)), budget) for link in blobs.files]
        one, other = await asyncio.gather(*fetches, return_exceptions=True)
    assert "input_too_large" == next(e.type for e in (one, other) if isinstance(e, TaskFailedError))
    assert 1 == len(admitted)


@pytest.fixture
async def cached(threads: Threads) -> AsyncIterator[Fetch]:
    """Fetches like `fetch`, with a cache that lasts."""
    blobs = InMemoryBlobStore()
    blobs.files["s3://mine/x"] = b"in s3"
    limits = DownloadLimits(LIMIT, 5, frozenset({"mine"}), (HERE,), cache_bytes=10 * LIMIT)
    async with Downloads(blobs, threads, limits) as downloads:

        async def one(url: object, max_bytes: int = LIMIT) -> bytes:
            return bytes(await downloads.fetch(Link(str(url), ("image",)), Budget(max_bytes)))

        one.blobs = blobs  # type: ignore[attr-defined]
        yield one


def tagged(tag: str, body: bytes) -> Callable[[web.Request], Any]:
    """Answers as servers do that know conditional requests."""

    async def answer(request: web.Request) -> web.Response:
        same = request.headers.get("If-None-Match") == tag
        return web.Response(status=304 if same else 200, body=b"" if same else body, headers={"ETag": tag})

    return answer


async def test_what_did_not_change_is_not_sent_again(site: Site, cached: Fetch) -> None:
    site.answers["/x"] = [tagged('"1"', b"one"), tagged('"1"', b"nobody sees this"), tagged('"2"', b"two")]
    assert [b"one", b"one", b"two", b"two"] == [await cached(site.url / "x") for _ in range(4)]
    assert 4 == len(site.asked)  # who has the original decides each time


async def test_a_tag_is_of_the_address_that_gave_it_and_not_of_the_link(site: Site, cached: Fetch) -> None:
    site.answers["/x"] = [says(302, Location="/a"), says(302, Location="/b")]
    site.answers["/a"], site.answers["/b"] = [tagged('"1"', b"a")], [tagged('"1"', b"b")]
    assert [b"a", b"b"] == [await cached(site.url / "x") for _ in range(2)]


async def test_what_may_be_read_no_more_is_not_given_from_the_cache(site: Site, cached: Fetch) -> None:
    site.answers["/x"] = [tagged('"1"', b"one"), says(403)]
    await cached(site.url / "x")
    with pytest.raises(TaskFailedError, match="answered 403"):
        await cached(site.url / "x")


async def test_what_comes_from_the_cache_counts_too(site: Site, cached: Fetch) -> None:
    site.answers["/x"] = [tagged('"1"', bytes(500))]
    await cached(site.url / "x")
    with pytest.raises(TaskFailedError, match="larger than 499"):
        await cached(site.url / "x", 499)


async def test_files_in_s3_are_kept_too(cached: Any) -> None:
    assert b"in s3" == await cached("s3://mine/x")
    assert b"in s3" == await cached("s3://mine/x")
    cached.blobs.files["s3://mine/x"] = b"changed"
    assert b"changed" == await cached("s3://mine/x")


async def test_redirects_are_followed(site: Site, fetch: Fetch) -> None:
    site.answers["/x"] = [says(302, Location="/y")]
    site.answers["/y"] = [says(307, Location=str(site.url / "z"))]
    site.answers["/z"] = [says()]
    assert b"image" == await fetch(site.url / "x")


async def test_a_redirect_to_an_address_inside_is_refused_unasked(site: Site, fetch: Fetch) -> None:
    inside = Site()
    inside.answers["/secret"] = [says(body=b"secret")]
    server = TestServer(inside.app(), host="127.0.0.2")
    await server.start_server()
    site.answers["/x"] = [says(302, Location=str(server.make_url("/secret")))]
    error = await failure(fetch, site.url / "x")
    assert "input_forbidden" == error.type
    assert [] == inside.asked
    await server.close()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("localhost", "a name of loopback"),
        ("0.0.0.0", "this host"),  # noqa: S104  it is refused
        ("0x7f.1", "loopback in hexadecimal"),
        ("[::1]", "loopback, version 6"),
        ("[::ffff:127.0.0.1]", "loopback, mapped"),
        ("169.254.169.254", "the metadata service"),
        ("[fd00:ec2::254]", "the metadata service, version 6"),
        ("10.0.0.1", "private"),
    ],
)
async def test_addresses_inside_are_never_connected_to(site: Site, fetch: Fetch, host: str, reason: str) -> None:
    error = await failure(fetch, f"http://{host}:{site.url.port}/x", networks=())
    assert "input_forbidden" == error.type, reason
    assert [] == site.asked


@pytest.mark.parametrize("location", ["file:///etc/passwd", "s3://mine/a/b.png", "ftp://127.0.0.1/x", "data:,x"])
async def test_a_redirect_to_another_scheme_is_refused(site: Site, fetch: Fetch, location: str) -> None:
    site.answers["/x"] = [says(302, Location=location)]
    assert "input_forbidden" == (await failure(fetch, site.url / "x")).type


async def test_endless_redirects_end(site: Site, fetch: Fetch) -> None:
    site.answers["/x"] = [says(302, Location="/x")]
    error = await failure(fetch, site.url / "x")
    assert ("input_unavailable", 6) == (error.type, len(site.asked))


@pytest.mark.parametrize("status", [400, 403, 404, 410])
async def test_a_refusal_is_final(site: Site, fetch: Fetch, status: int) -> None:
    site.answers["/x"] = [says(status)]
    error = await failure(fetch, site.url / "x")
    assert (TaskFailedError, "input_unavailable", 1) == (type(error), error.type, len(site.asked))
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_server_that_fails_is_asked_again(site: Site, fetch: Fetch, status: int) -> None:
    site.answers["/x"] = [says(status), says(status), says()]
    assert b"image" == await fetch(site.url / "x")


async def test_a_server_that_keeps_failing_may_work_later(site: Site, fetch: Fetch) -> None:
    site.answers["/x"] = [says(503)]
    error = await failure(fetch, site.url / "x")
    assert (FailedForNowError, "input_unavailable", 3) == (type(error), error.type, len(site.asked))


async def test_an_answer_that_takes_too_long_is_given_up(site: Site, fetch: Fetch) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    site.answers["/x"] = [slow]
    error = await failure(fetch, site.url / "x", seconds=0.1)
    assert isinstance(error, FailedForNowError)
    assert "0.1 s" in str(error)


async def test_a_cut_off_answer_is_tried_again(site: Site, fetch: Fetch) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    site.answers["/x"] = [cut, says(body=b"x" * LIMIT)]  # what the first try brought is not counted
    assert LIMIT == len(await fetch(site.url / "x"))


async def test_too_much_is_refused_by_its_field_and_not_read(site: Site, fetch: Fetch) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()  # no Content-Length to go by
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100)

    site.answers["/declared"] = [says(body=b"x" * (LIMIT + 1))]
    site.answers["/streamed"] = [stream]
    for path in ("declared", "streamed"):
        error = await failure(fetch, site.url / path)
        assert "input_too_large" == error.type
        assert str(LIMIT) in str(error)


@pytest.mark.parametrize(
    ("url", "type_", "reason"),
    [
        ("s3://other/x", "input_forbidden", "a bucket that is not allowed"),
        ("s3://mine/.requests/x.json", "input_forbidden", "where contents of others wait"),
        ("s3://mine/missing.png", "input_unavailable", "no such file"),
        ("s3://mine", "input_unavailable", "no key"),
        ("http://", "input_unavailable", "no host"),
        ("http://[::1", "input_unavailable", "no URL"),
        ("http://2130706433/x", "input_unavailable", "loopback as one number"),
    ],
)
async def test_links_that_lead_nowhere_fail(fetch: Fetch, url: str, type_: str, reason: str) -> None:
    assert type_ == (await failure(fetch, url)).type, reason
