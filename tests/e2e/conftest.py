"""Local clouds for the end-to-end tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio
from tests.e2e.pods import Pods, Standby
from tests.e2e.users import ROOT, User

from darkroom_local.cloud import Plan, run_cloud


@asynccontextmanager
async def a_user(*, agents: bool) -> AsyncIterator[User]:
    """The user of a cloud of their own."""
    logs: list[tuple[str, str]] = []
    parameters = {"RateLimit": "1000", "BurstLimit": "1000"}
    template = ROOT / "sam" / "template.yaml"
    plan = Plan(template, parameters=parameters, runtimes={"comfy": "comfyui"}, agents=agents)
    async with (
        run_cloud(plan, lambda part, line: logs.append((part, line))) as cloud,
        aiohttp.ClientSession() as session,
    ):
        yield User(cloud, session, logs)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def user() -> AsyncIterator[User]:
    """The user of a cloud that all tests share; each takes ids of its own."""
    async with a_user(agents=True) as one:
        yield one


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def owner() -> AsyncIterator[User]:
    """The user of a cloud without agents: tests start their own."""
    async with a_user(agents=False) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def pods(owner: User) -> AsyncIterator[Pods]:
    """Pods that end with the test."""
    async with AsyncExitStack() as stack:
        yield Pods(owner, stack)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def _standby(owner: User) -> AsyncIterator[Standby]:
    async with AsyncExitStack() as stack:
        yield await Pods(owner, stack).standby()


@pytest_asyncio.fixture(loop_scope="session")
async def standby(_standby: Standby) -> AsyncIterator[Standby]:
    """An agent that runs already, and gets no message before its gate is opened."""
    yield _standby
    await _standby.rest()


@pytest.fixture
def task_id(request: pytest.FixtureRequest) -> str:
    """An id of the test's own."""
    name = request.node.name.removeprefix("test_")
    return "".join(c if c.isalnum() else "-" for c in name)[:100].strip("-")
