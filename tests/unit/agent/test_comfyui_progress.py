"""How far a workflow is, from its events."""

from typing import Any

import pytest

from darkroom_agent.runtimes.comfyui_progress import NodeTimes, Progress

GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {}},
    "3": {"class_type": "KSampler", "inputs": {}},
    "9": {"class_type": "SaveImage", "inputs": {}},
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("darkroom_agent.runtimes.comfyui_progress.time.monotonic", lambda: now[0])
    return now


def begin(progress: Progress, node: str | None) -> None:
    progress.take("executing", {"node": node, "prompt_id": "P"})


def step(progress: Progress, value: float, **more: Any) -> None:
    progress.take("progress", {"value": value, "max": 10, "node": "3", "prompt_id": "P", **more})


@pytest.fixture
def ran_once(clock: list[float]) -> NodeTimes:
    """Of a run of 40 s, 30 of them in the node 1."""
    times = NodeTimes()
    progress = Progress("P", GRAPH, times)
    for node, at in (("1", 0), ("3", 30), ("9", 40)):
        clock[0] = at
        begin(progress, node)
    return times


def test_sampling_counts_for_most_of_a_run_until_it_is_known_better() -> None:
    progress = Progress("P", GRAPH, NodeTimes())
    begin(progress, "1")
    begin(progress, "3")
    assert progress.share < 0.1
    step(progress, 5)
    assert 0.45 < progress.share < 0.55
    begin(progress, "9")
    assert progress.share > 0.9


def test_nodes_count_by_the_time_that_they_took_before(ran_once: NodeTimes) -> None:
    later = Progress("P", GRAPH, ran_once)
    begin(later, "1")
    begin(later, "3")
    assert 0.7 < later.share < 0.8  # 30 s of 40 s


def test_the_last_node_takes_its_time_too(clock: list[float]) -> None:
    times = NodeTimes()
    progress = Progress("P", GRAPH, times)
    for node, at in (("9", 0), (None, 7)):
        clock[0] = at
        begin(progress, node)
    assert 7 == times.expect("SaveImage")


def test_events_of_other_prompts_are_not_ours() -> None:
    progress = Progress("P", GRAPH, NodeTimes())
    step(progress, 10, prompt_id="Q")
    progress.take("executing", {"node": None, "prompt_id": "Q"})
    assert (0.0, False) == (progress.share, progress.ended.is_set())


def test_a_run_of_cached_nodes_is_done_and_unknown_ones_are_not_counted() -> None:
    progress = Progress("P", GRAPH, NodeTimes())
    progress.take("execution_cached", {"nodes": ["1", "3", "9", "3.0.0.1"], "prompt_id": "P"})
    assert 1.0 == progress.share


def test_cached_nodes_take_no_time_and_tell_nothing_of_the_rest(ran_once: NodeTimes) -> None:
    later = Progress("P", GRAPH, ran_once)
    later.take("execution_cached", {"nodes": ["1"], "prompt_id": "P"})
    assert 0.0 == later.share  # not 30 s of 40 s
    step(later, 5)
    assert 0.45 < later.share < 0.5


def test_the_state_of_all_nodes_is_read_too_and_progress_never_falls() -> None:
    progress = Progress("P", GRAPH, NodeTimes())
    done = {"value": 1, "max": 1, "state": "finished"}
    half = {"value": 5, "max": 10, "state": "running"}
    progress.take("progress_state", {"prompt_id": "P", "nodes": {"1": done, "3": half}})
    before = progress.share
    assert before > 0.4
    progress.take("progress_state", {"prompt_id": "P", "nodes": {"3": {"value": 0, "max": 0, "state": "running"}}})
    assert before == progress.share


def test_a_block_is_noted_and_is_not_the_end() -> None:
    progress = Progress("P", GRAPH, NodeTimes())
    told = {"node_id": "9", "exception_type": "ExecutionBlocked", "exception_message": "too dark", "prompt_id": "P"}
    progress.take("execution_error", told)
    assert ({"9": "too dark"}, False) == (progress.blocked, progress.ended.is_set())
    begin(progress, None)
    assert progress.ended.is_set()
