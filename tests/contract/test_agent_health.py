"""What the pod's probes are told, over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from darkroom_agent import metrics
from darkroom_agent.drains import Drain
from darkroom_agent.health import Health

Ask = Callable[[str], Awaitable[tuple[int, Any]]]


@pytest.fixture
async def health() -> AsyncIterator[Health]:
    made = Health(Drain(0))
    yield made
    await made.close()


@pytest.fixture
async def ask(health: Health, unused_tcp_port: int) -> AsyncIterator[Ask]:
    await health.serve(unused_tcp_port)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{unused_tcp_port}") as session:

        async def one(path: str) -> tuple[int, Any]:
            async with session.get(path) as answer:
                return answer.status, await answer.json()

        yield one


async def test_an_agent_that_waits_for_its_runtime_is_alive_but_not_ready(health: Health, ask: Ask) -> None:
    health.waiting_for = "a model"
    assert 200 == (await ask("/healthz"))[0]
    status, body = await ask("/readyz")
    assert (503, "a model") == (status, body["waiting_for"])
    health.waiting_for = None
    assert 200 == (await ask("/readyz"))[0]


async def test_a_draining_agent_is_not_ready(health: Health, ask: Ask) -> None:
    health.waiting_for = None
    health.drain.begin()
    assert (503, True) == ((await ask("/readyz"))[0], (await ask("/readyz"))[1]["draining"])
    assert 200 == (await ask("/healthz"))[0]


async def test_metrics_are_told_in_prometheus_form(health: Health, unused_tcp_port: int) -> None:
    before = metrics.GPU.total()
    await health.serve(unused_tcp_port)
    metrics.TASKS.labels("succeeded").inc()
    metrics.PHASES.labels("run").observe(2)
    metrics.GPU.start()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{unused_tcp_port}/metrics") as answer,
    ):
        text = await answer.text()
    metrics.GPU.stop()
    told = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert before < told["darkroom_gpu_busy_seconds_total"].value  # of a run that has not ended
    assert {
        "darkroom_tasks_total",
        "darkroom_phase_seconds_bucket",
        "darkroom_tasks_in_flight",
        "process_resident_memory_bytes",
    } <= set(told)


async def test_a_hung_runtime_asks_for_a_restart(health: Health, ask: Ask) -> None:
    health.hung = True
    assert 503 == (await ask("/healthz"))[0]
