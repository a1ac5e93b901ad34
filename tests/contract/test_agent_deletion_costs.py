"""The pod's deletion cost, against a server that answers as Kubernetes' API does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from darkroom_agent.deletion_costs import ANNOTATION, DeletionCosts


@dataclass
class Kubernetes:
    """The API server: the patches that came, and how often it refuses before it takes one."""

    patches: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    refusals: int = 0
    busy: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def patch(self, request: web.Request) -> web.Response:
        if self.refusals:
            self.refusals -= 1
            return web.json_response({"reason": "Forbidden"}, status=403)
        self.patches.append((request.path, dict(request.headers), await request.json()))
        self.changed.set()
        return web.json_response({})

    async def costs(self, count: int) -> list[str]:
        """The costs that were published, once there are so many."""
        async with asyncio.timeout(3):
            while len(self.patches) < count:
                self.changed.clear()
                await self.changed.wait()
        return [body["metadata"]["annotations"][ANNOTATION] for _, _, body in self.patches]


@pytest.fixture
async def kubernetes(tmp_path: Path) -> AsyncIterator[Kubernetes]:
    """A server that an agent of the pod `pod-1` publishes to."""
    made = Kubernetes()
    app = web.Application()
    app.router.add_patch("/{path:.*}", made.patch)
    server = TestServer(app)
    await server.start_server()
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "namespace").write_text("renders")
    costs = DeletionCosts(str(server.make_url("")), tmp_path, "pod-1", lambda: made.busy, 0.02)
    work = asyncio.create_task(costs.publish(), name="publish")
    yield made
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await server.close()


async def test_idle_pods_cost_less_than_busy_ones(kubernetes: Kubernetes) -> None:
    assert ["0"] == await kubernetes.costs(1)
    kubernetes.busy = True
    assert ["0", "100"] == await kubernetes.costs(2)
    kubernetes.busy = False
    assert ["0", "100", "0"] == await kubernetes.costs(3)


async def test_the_own_pod_is_patched_as_the_service_account(kubernetes: Kubernetes) -> None:
    await kubernetes.costs(1)
    path, headers, _ = kubernetes.patches[0]
    assert "/api/v1/namespaces/renders/pods/pod-1" == path
    assert ("Bearer secret", "application/merge-patch+json") == (headers["Authorization"], headers["Content-Type"])


async def test_what_does_not_change_is_not_told_again(kubernetes: Kubernetes) -> None:
    await kubernetes.costs(1)
    await asyncio.sleep(0.2)
    assert 1 == len(kubernetes.patches)


async def test_a_refusal_is_tried_again(kubernetes: Kubernetes) -> None:
    kubernetes.refusals = 3
    kubernetes.busy = True
    assert "100" == (await kubernetes.costs(1))[-1]
