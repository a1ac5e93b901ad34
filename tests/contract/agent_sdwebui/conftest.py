"""The adapter for SD WebUI, and the server that it speaks to."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from tests.contract.agent_sdwebui.webuis import Connect, WebUi

from darkroom_agent.runtimes import RuntimeConfig
from darkroom_agent.runtimes.sdwebui import SdWebUi


@pytest.fixture(autouse=True)
def _short_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom_agent.runtimes.sdwebui._PROBE", 0.1)


@pytest.fixture
def webui() -> WebUi:
    return WebUi()


@pytest.fixture
async def connect(webui: WebUi) -> AsyncIterator[Connect]:
    """Makes an adapter that speaks to the server."""
    server = TestServer(webui.app())
    await server.start_server()
    made: list[SdWebUi] = []

    def make(**config: Any) -> SdWebUi:
        made.append(SdWebUi(RuntimeConfig(str(server.make_url("")), **config)))
        return made[-1]

    yield make
    for adapter in made:
        await adapter.close()
    await server.close()
