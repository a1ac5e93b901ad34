"""Whole runs, computed by hand."""

from collections.abc import Sequence
from typing import Any

import pytest

from darkroom_cli.planning.assumptions import Assumptions
from darkroom_cli.planning.backlog import PlannedQueue
from darkroom_cli.planning.clock import Clock
from darkroom_cli.planning.pods import Fleet
from darkroom_cli.planning.reports import Summary, percentile
from darkroom_cli.planning.scaling import Fallback, Scaling, Values
from darkroom_cli.planning.simulation import Conditions, Outage, Run, Simulation

# a world in which only nodes (40 s) and tasks (10 s) take time, and a dollar buys an hour
PLAIN = Assumptions(
    dispatch=0, task=10, upload=0, hand_over=0, batch=0, node=40, lazy=0, image=0, start=0, model=0, gpu_price=1
)
AT_ONCE = (0.0, 0.0)  # KEDA polls and the HPA syncs from the beginning


def simulate(
    arrivals: Sequence[float],
    assumptions: Assumptions = PLAIN,
    *,
    cached: bool = False,
    consolidate_after: float = 30,
    outage: Outage | None = None,
    **scaling: Any,
) -> Run:
    values = Values(
        name="test",
        scaling=Scaling.model_validate(scaling),
        cached=cached,
        consolidate_after=consolidate_after,
    )
    return Simulation(values, assumptions, arrivals, Conditions(outage=outage or Outage(), offsets=AT_ONCE)).run()


def replicas_at(run: Run, time: float) -> int:
    return [sample.replicas for sample in run.samples if sample.time <= time][-1]


def test_a_burst_of_thirty_is_what_it_is_by_hand() -> None:
    # 30 messages, 10 a replica: KEDA makes 1 at 0 s, the HPA 3 in the same second. Nodes are ready at 40 s; 3
    # pods do 30 tasks of 10 s in 100 s. The HPA wishes for 3 until 75 s (21 messages), for 2 until 105 s (12), then
    # for 1; it follows the highest wish of 120 s: 2 at 195 s, and, one a minute, 1 at 255 s. KEDA sees messages
    # last at 135 s, so that more than 300 s have passed at 440 s. Each node goes 30 s after its pod.
    run = simulate([0.0] * 30)
    assert 140 == max(task.finished or 0 for task in run.tasks)
    assert [40, 130] == [min(task.waited for task in run.tasks), max(task.waited for task in run.tasks)]
    assert [3, 3, 2, 2, 1, 1, 0] == [replicas_at(run, at) for at in (1, 194, 196, 254, 256, 439, 441)]
    assert 225 + 285 + 470 == run.node_seconds
    assert 980 / 3600 == pytest.approx(run.usd)
    assert 300 / 980 == pytest.approx(run.busy)
    assert 470 == run.ended


def test_the_time_to_the_first_image_is_the_sum_of_its_phases() -> None:
    world = PLAIN.model_copy(
        update={
            "dispatch": 0.5,
            "batch": 1,
            "image": 6,
            "pull": 0.1,
            "start": 15,
            "model": 4,
            "load": 0.5,
            "upload": 0.3,
        }
    )
    run = simulate([2.0], world)
    expected = {
        "request until the message waits": 0.5,
        "KEDA notices": 2.5,  # it polls each 5 s, and the message is there at 2.5 s
        "Karpenter's node is ready": 41,
        "image is there": 60,  # 6 GiB at 0.1 GiB/s
        "model is loaded": 23,  # 15 s, and 4 GiB at 0.5 GiB/s
        "image is made": 10.3,
    }
    assert expected == {phase.name: pytest.approx(phase.seconds) for phase in run.phases}
    (task,) = run.tasks
    assert (task.finished or 0) - task.arrived == pytest.approx(sum(phase.seconds for phase in run.phases))


def test_a_snapshot_takes_the_place_of_the_pull() -> None:
    world = PLAIN.model_copy(update={"image": 6, "pull": 0.1, "lazy": 12})
    pulled, cached = simulate([0.0], world), simulate([0.0], world, cached=True)
    assert 60 - 12 == pytest.approx(pulled.tasks[0].waited - cached.tasks[0].waited)


def test_a_task_that_comes_to_a_ready_pod_does_not_wait() -> None:
    run = simulate([100.0], min_replica_count=1)
    assert 0 == run.tasks[0].waited
    assert () == run.phases


def test_a_runtime_with_a_minimum_keeps_its_nodes() -> None:
    run = simulate([0.0, 500.0], min_replica_count=2)
    assert 2 == replicas_at(run, run.ended)
    assert 2 * run.ended == run.node_seconds


def test_a_pod_that_comes_soon_after_another_left_takes_over_its_node() -> None:
    # the first run ends at 50 s; asleep from 120 s (60 s cooldown); the next task comes at 125 s, its node at 140 s
    # would have been gone
    run = simulate([0.0, 125.0], cooldown_period=60)
    assert 0 == run.tasks[1].waited
    assert 1 == max(sample.nodes for sample in run.samples)


def test_a_pod_that_is_dismissed_finishes_its_task_first() -> None:
    # what KEDA does not count: three tasks in flight, none waiting
    run = simulate([0.0] * 3, cooldown_period=10, scale_on_in_flight=False, queue_length=1)
    assert run.complete
    assert {10} == {(task.finished or 0) - (task.started or 0) for task in run.tasks}


def test_counting_what_is_in_flight_keeps_busy_pods() -> None:
    # fifteen pods are busy all the time, and nothing waits: not counted, they are sent to sleep all at once
    steady = [0.0] * 200 + [number / 1.5 for number in range(2000)]
    counted, not_counted = (
        simulate(steady, scale_on_in_flight=on, cooldown_period=60, queue_length=1) for on in (True, False)
    )
    assert 17 == min(sample.replicas for sample in counted.samples if 100 < sample.time < 1300)
    assert 0 == min(sample.replicas for sample in not_counted.samples if 100 < sample.time < 1300)
    late = [max(task.waited for task in run.tasks if task.arrived > 600) for run in (counted, not_counted)]
    assert late[0] == 0
    assert late[1] > 20


def test_a_runtime_at_rest_is_not_waked_while_its_queue_cannot_be_read() -> None:
    run = simulate([0.0], outage=Outage(0, 300))
    assert 340 == run.tasks[0].waited


def test_the_fallback_adds_replicas_while_the_queue_cannot_be_read() -> None:
    # awake with one replica; from 30 s on blind: the HPA asks at 30, 45, 60 s in vain, and gets 5 replicas' worth
    # at 75 s. Without one it would stay as it is.
    fallback = Fallback(failure_threshold=3, replicas=5, behavior="static")
    with_one = simulate([0.0] * 3, outage=Outage(30, 400), fallback=fallback)
    without = simulate([0.0] * 3, outage=Outage(30, 400), fallback=None)
    assert [1, 5] == [replicas_at(with_one, at) for at in (74, 76)]
    assert 1 == max(sample.replicas for sample in without.samples)


def test_a_node_is_paid_for_a_minute_at_least() -> None:
    run = simulate([0.0], PLAIN.model_copy(update={"node": 5, "task": 1}), cooldown_period=0, consolidate_after=0)
    assert 60 == run.node_seconds


def test_a_node_that_was_used_again_counts_anew_how_long_it_is_empty() -> None:
    clock = Clock()
    fleet = Fleet(clock, PlannedQueue(), PLAIN, consolidate_after=100, cached=True)
    for time, replicas in ((0, 1), (50, 0), (100, 1), (120, 0)):
        clock.at(time, lambda replicas=replicas: fleet.scale(replicas))  # type: ignore[misc]
    clock.run(160, lambda: False)
    assert 1 == fleet.running_nodes  # it was empty at 50 s, and 100 s are over
    clock.run(1000, lambda: False)
    assert [220] == [node.ended for node in fleet.nodes]


def test_the_same_seed_makes_the_same_run() -> None:
    world = PLAIN.model_copy(update={"spread": 0.5})
    runs = [
        Simulation(Values(), world, [float(at) for at in range(60)], Conditions(seed)).run() for seed in (7, 7, 8)
    ]
    assert runs[0].samples == runs[1].samples
    assert runs[0].samples != runs[2].samples


def test_what_is_never_done_is_said() -> None:
    run = simulate([0.0], PLAIN.model_copy(update={"task": 20_000}))
    assert not run.complete
    assert 0 == Summary.of(run).done


@pytest.mark.parametrize(("percent", "expected"), [(50, 3), (95, 5), (100, 5), (1, 1)])
def test_a_percentile_is_the_nearest_rank(percent: int, expected: float) -> None:
    assert expected == percentile([1, 2, 3, 4, 5], percent)
