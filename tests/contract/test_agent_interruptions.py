"""Notices of the instance's metadata service (IMDSv2), from a server that speaks its protocol."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from darkroom_agent.drains import Drain
from darkroom_agent.interruptions import Interruptions

ACTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"


@dataclass
class Metadata:
    """The service: what it has at its paths, and the token that it takes at present."""

    notices: dict[str, str] = field(default_factory=dict)
    tokens: int = 0
    fails: bool = False

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_put("/latest/api/token", self.give_token)
        app.router.add_get("/{path:.*}", self.answer)
        return app

    async def give_token(self, request: web.Request) -> web.Response:
        assert int(request.headers["X-aws-ec2-metadata-token-ttl-seconds"]) <= 21_600
        self.tokens += 1
        return web.Response(text=f"token-{self.tokens}")

    async def answer(self, request: web.Request) -> web.Response:
        if self.fails:
            return web.Response(status=500)
        if request.headers.get("X-aws-ec2-metadata-token") != f"token-{self.tokens}":
            return web.Response(status=401)
        notice = self.notices.get(request.path)
        return web.Response(text=notice) if notice else web.Response(status=404)


@pytest.fixture
def metadata() -> Metadata:
    return Metadata()


@pytest.fixture
async def drain(metadata: Metadata) -> AsyncIterator[Drain]:
    """A drain that the service's notices start."""
    server = TestServer(metadata.app())
    await server.start_server()
    made = Drain(3600)
    watch = asyncio.create_task(Interruptions(str(server.make_url("")), made, 0.02).watch(), name="watch")
    yield made
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    await server.close()


async def drained(drain: Drain) -> float:
    """The grace that is left, once a drain has begun."""
    async with asyncio.timeout(3):
        await drain.draining.wait()
    left = drain.left()
    assert left is not None
    return left


def action(seconds: float) -> str:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return f'{{"action": "terminate", "time": "{at:%Y-%m-%dT%H:%M:%SZ}"}}'


async def test_without_a_notice_nothing_happens(drain: Drain, metadata: Metadata) -> None:
    await asyncio.sleep(0.2)
    assert (False, 1) == (drain.draining.is_set(), metadata.tokens)


async def test_an_interruption_ends_the_grace_before_the_instance_goes(drain: Drain, metadata: Metadata) -> None:
    metadata.notices[ACTION] = action(120)
    assert 100 < await drained(drain) <= 110


@pytest.mark.parametrize("notice", ["{}", "[]", "terminate", '{"time": "2026-01-31T12:00:00"}'])
async def test_a_notice_that_does_not_say_when_starts_the_drain_all_the_same(
    drain: Drain, metadata: Metadata, notice: str
) -> None:
    metadata.notices[ACTION] = notice
    assert await drained(drain) > 3500


async def test_a_service_that_cannot_be_reached_is_told_of_once() -> None:
    watch = asyncio.create_task(Interruptions("http://127.0.0.1:1", Drain(1), 0.01).watch(), name="watch")
    with patch("darkroom_agent.interruptions.log.warning") as told:
        await asyncio.sleep(0.2)
    watch.cancel()
    assert ["metadata_unavailable"] == [call.args[0] for call in told.call_args_list]


async def test_a_recommendation_starts_the_drain_and_an_interruption_shortens_it(
    drain: Drain, metadata: Metadata
) -> None:
    metadata.notices[REBALANCE] = '{"noticeTime": "2026-01-31T12:00:00Z"}'
    assert await drained(drain) > 3500
    metadata.notices[ACTION] = action(1)
    async with asyncio.timeout(3):
        await drain.halted.wait()
    assert not drain.told.is_set()


async def test_a_token_that_is_taken_no_more_and_faults_of_the_service_are_got_over(
    drain: Drain, metadata: Metadata
) -> None:
    metadata.fails = True
    await asyncio.sleep(0.1)
    metadata.tokens += 1  # the one that was given is none any more
    metadata.fails = False
    metadata.notices[ACTION] = action(60)
    assert await drained(drain) > 40
