"""Pipelines on the local cloud when there are many of them, when they are long, and when processes are killed."""

import asyncio
import os
import random
import signal
import time

import pytest
from tests.e2e.test_pipelines import TEXT, Pipelines, statuses, step, upscale
from tests.e2e.users import User, children

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SMALL = TEXT | {"steps": 1, "width": 64, "height": 64}


async def test_a_pipeline_of_a_hundred_steps_succeeds(user: User) -> None:
    pipelines = Pipelines(user)
    steps = [step("s0", content=SMALL)]
    steps += [step(f"s{n}", content=SMALL, needs=[f"s{n // 2}"]) for n in range(1, 99)]
    steps += [upscale("last", "${s98.images[0]}", needs=["s97"])]

    id_ = await pipelines.submit(*steps)
    body = await pipelines.ends(id_, 240)

    assert body["status"] == "succeeded"
    assert set(statuses(body).values()) == {"succeeded"}


async def test_pipelines_end_although_agents_and_functions_are_killed_in_the_middle(user: User) -> None:
    pipelines = Pipelines(user)
    slow = SMALL | {"steps": 40}
    ids = [
        await pipelines.submit(
            step("a", content=slow, retry={"max_attempts": 3}), step("b", content=slow, foreach=[1, 2], needs=["a"])
        )
        for _ in range(3)
    ]
    chance = random.Random(7)  # noqa: S311  a test's choice
    for kind in ("awslambdaric", "darkroom_agent", "awslambdaric"):
        await asyncio.sleep(1.0)
        found = children(kind)
        for pid in chance.sample(found, min(len(found), 6)):
            os.kill(pid, signal.SIGKILL)

    ends = [await pipelines.ends(id_, 240) for id_ in ids]

    assert [body["status"] for body in ends] == ["succeeded"] * 3
    for id_ in ids:
        await pipelines.has_no_orphans(id_)


@pytest.mark.load
async def test_two_hundred_pipelines_at_once_end_within_eight_minutes(user: User) -> None:
    pipelines = Pipelines(user)
    began = time.monotonic()
    ids = []
    for _ in range(20):
        batch = [
            pipelines.submit(step("a", content=SMALL), step("b", content=SMALL, needs=["a"])) for _ in range(10)
        ]
        ids += await asyncio.gather(*batch)

    ends = [await pipelines.ends(id_, 480) for id_ in ids]

    assert [body["status"] for body in ends] == ["succeeded"] * 200
    assert time.monotonic() - began < 480
