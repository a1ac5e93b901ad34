"""Waiting for the first of many events."""

import asyncio

import pytest

from darkroom_agent.faults import GivenUpError
from darkroom_agent.flags import Flag, first_of, unless, watch

PATIENCE = 2.0


async def test_the_first_flag_that_is_set_ends_the_wait() -> None:
    one, other = Flag(), Flag()
    wait = asyncio.create_task(first_of(one, other))
    await asyncio.sleep(0)
    assert not wait.done()
    other.set()
    await asyncio.wait_for(wait, PATIENCE)


async def test_a_flag_that_is_set_already_is_not_waited_for() -> None:
    one, other = Flag(), Flag()
    one.set()
    await asyncio.wait_for(first_of(other, one), PATIENCE)


async def test_a_flag_that_is_set_and_cleared_at_once_is_seen() -> None:
    flag = Flag()
    wait = asyncio.create_task(first_of(flag))
    await asyncio.sleep(0)
    flag.set()
    flag.clear()
    await asyncio.wait_for(wait, PATIENCE)


async def test_two_flags_may_be_set_at_once() -> None:
    one, other = Flag(), Flag()
    wait = asyncio.create_task(first_of(one, other))
    await asyncio.sleep(0)
    one.set()
    other.set()
    await asyncio.wait_for(wait, PATIENCE)


async def test_a_wait_ends_with_its_time() -> None:
    await asyncio.wait_for(first_of(Flag(), timeout=0.01), PATIENCE)


async def test_a_cleared_flag_is_waited_for_anew() -> None:
    flag = Flag()
    flag.set()
    flag.clear()
    with watch(flag) as found:
        assert not found.done()


async def test_one_flag_tells_all_who_watch_it_and_those_who_just_wait() -> None:
    flag = Flag()
    waits = [asyncio.create_task(work) for work in (first_of(flag), first_of(flag), flag.wait())]
    await asyncio.sleep(0)
    flag.set()
    await asyncio.wait_for(asyncio.gather(*waits), PATIENCE)


async def test_work_is_given_up_as_soon_as_a_flag_is_set() -> None:
    flag, begun, ended = Flag(), asyncio.Event(), False

    async def work() -> None:
        nonlocal ended
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    wait = asyncio.create_task(unless(work(), Flag(), flag, name="work"))
    await begun.wait()
    flag.set()
    with pytest.raises(GivenUpError):
        await asyncio.wait_for(wait, PATIENCE)
    assert ended


async def test_work_that_is_done_has_its_result_whatever_the_flags_say() -> None:
    flag = Flag()

    async def work() -> int:
        flag.set()
        return 1

    assert 1 == await unless(work(), flag, name="work")
