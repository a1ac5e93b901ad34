"""One run: arrivals through KEDA, the HPA, Karpenter, pods and agents."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from darkroom_cli.planning.assumptions import Assumptions
from darkroom_cli.planning.backlog import PlannedQueue, PlannedTask
from darkroom_cli.planning.clock import Clock
from darkroom_cli.planning.hpa import Autoscaler
from darkroom_cli.planning.keda import Keda, QueueState, QueueUnreadableError
from darkroom_cli.planning.pods import Fleet, Pod
from darkroom_cli.planning.scaling import Values

AFTERWARDS = 4 * 3600.0
"""Seconds for which a run goes on after the last arrival at most, until all is quiet again."""

_SAMPLES = 1200


@dataclass(frozen=True)
class Sample:
    """How things stand at one time."""

    time: float
    waiting: int
    in_flight: int
    replicas: int
    ready: int
    nodes: int
    usd: float


@dataclass(frozen=True)
class Phase:
    """A part of the time until the first image, in seconds."""

    name: str
    seconds: float


@dataclass
class Run:
    """What came of it.

    Attributes:
        phases: the time from the first request to its image, in parts; empty where a pod was ready.
        busy: the share of the paid time in which GPUs worked.
        ended: when all was quiet, or the run was broken off.
        complete: whether every task was done by then.
    """

    values: Values
    tasks: list[PlannedTask]
    samples: list[Sample] = field(default_factory=list)
    phases: tuple[Phase, ...] = ()
    usd: float = 0.0
    node_seconds: float = 0.0
    busy: float = 0.0
    ended: float = 0.0
    complete: bool = False


@dataclass(frozen=True)
class Outage:
    """While KEDA cannot read the queue; seconds."""

    begin: float = 0.0
    end: float = 0.0

    def __contains__(self, time: object) -> bool:
        return isinstance(time, float) and self.begin <= time < self.end


@dataclass(frozen=True)
class Conditions:
    """What else a run depends on. The same conditions make the same run.

    Attributes:
        seed: of what is left to chance.
        outage: when the queue cannot be read.
        offsets: the seconds at which KEDA polls and the HPA syncs first; None leaves them to chance.
    """

    seed: int = 0
    outage: Outage = Outage()
    offsets: tuple[float, float] | None = None


class Simulation:
    """A runtime that starts at rest."""

    def __init__(
        self,
        values: Values,
        assumptions: Assumptions,
        arrivals: Sequence[float],
        conditions: Conditions | None = None,
    ) -> None:
        conditions = conditions or Conditions()
        chance = random.Random(conditions.seed)  # noqa: S311  a simulation
        self._values = values
        self._assume = assumptions
        self._outage = conditions.outage
        self._clock = Clock()
        self._queue = PlannedQueue()
        self._fleet = Fleet(self._clock, self._queue, assumptions, values.consolidate_after, cached=values.cached)
        self._fleet.on_first = self._note_first
        self._keda = Keda(values.scaling)
        self._hpa = Autoscaler(values.scaling, assumptions.tolerance)
        self._last = max(arrivals)
        self._noticed: float | None = None
        works = (assumptions.task * (1 + assumptions.spread * chance.uniform(-1, 1)) for _ in arrivals)
        self._run = Run(values, [PlannedTask(at, work) for at, work in zip(arrivals, works, strict=True)])
        # when the two loops began to turn has nothing to do with when tasks come
        drawn = chance.uniform(0, values.scaling.polling_interval), chance.uniform(0, assumptions.sync)
        self._offsets = conditions.offsets or drawn

    def run(self) -> Run:
        """Run until all is quiet again."""
        clock, fleet, scaling = self._clock, self._fleet, self._values.scaling
        fleet.scale(scaling.min_replica_count)
        for task in self._run.tasks:
            clock.at(task.arrived + self._assume.dispatch, lambda task=task: self._arrive(task))  # type: ignore[misc]
        poll, sync = self._offsets
        clock.every(scaling.polling_interval, self._poll, poll)
        clock.every(self._assume.sync, self._sync, sync)
        clock.every(max(1.0, self._last / _SAMPLES), self._sample)
        clock.run(self._last + AFTERWARDS, self._is_quiet)
        return self._result()

    def _arrive(self, task: PlannedTask) -> None:
        self._queue.put(task)
        self._fleet.offer()

    def _seen(self) -> QueueState | None:
        return None if self._clock.now in self._outage else self._queue.state

    def _poll(self) -> None:
        replicas = self._fleet.replicas
        wanted = self._keda.poll(self._clock.now, replicas, self._seen())
        if replicas == 0 and wanted and self._noticed is None:
            self._noticed = self._clock.now
        self._fleet.scale(wanted)

    def _sync(self) -> None:
        replicas = self._fleet.replicas
        if replicas == 0:
            return  # the HPA rests, and so asks nothing
        try:
            metric = self._keda.metric(replicas, self._seen())
        except QueueUnreadableError:
            return
        self._fleet.scale(self._hpa.sync(self._clock.now, replicas, metric))

    def _sample(self) -> None:
        queue, fleet = self._queue.state, self._fleet
        self._run.samples.append(
            Sample(
                self._clock.now,
                queue.waiting,
                queue.in_flight,
                fleet.replicas,
                fleet.ready,
                fleet.running_nodes,
                self._usd(self._clock.now),
            )
        )

    def _paid(self, now: float) -> float:
        paid = 0.0
        for node in self._fleet.nodes:
            seconds = (now if node.ended is None else node.ended) - node.requested - self._assume.batch
            paid += max(seconds, 0.0 if node.ended is None else self._assume.minimum_billed)
        return paid

    def _usd(self, now: float) -> float:
        return self._paid(now) / 3600 * self._assume.gpu_price

    def _is_quiet(self) -> bool:
        if self._queue.done < len(self._run.tasks):
            return False
        least = self._values.scaling.min_replica_count
        return self._fleet.replicas == least and self._fleet.running_nodes == least

    def _note_first(self, pod: Pod) -> None:
        """The first image of all: how long each part took."""
        self._fleet.on_first = lambda _: None
        first = pod.served[0]
        if self._noticed is None or None in {pod.scheduled, pod.pulled, pod.ready, first.started, first.finished}:
            return
        marks = (
            ("request until the message waits", first.arrived + self._assume.dispatch),
            ("KEDA notices", self._noticed),
            ("Karpenter's node is ready", pod.scheduled),
            ("image is there", pod.pulled),
            ("model is loaded", pod.ready),
            ("image is made", first.finished),
        )
        begin, phases = first.arrived, []
        for name, end in marks:
            phases.append(Phase(name, float(end or 0) - begin))
            begin = float(end or 0)
        self._run.phases = tuple(phases)

    def _result(self) -> Run:
        run = self._run
        self._sample()
        run.ended = self._clock.now
        run.complete = self._queue.done == len(run.tasks)
        run.node_seconds = self._paid(self._clock.now)
        run.usd = self._usd(self._clock.now)
        worked = sum(task.work for task in run.tasks if task.finished is not None)
        run.busy = worked / run.node_seconds if run.node_seconds else 0.0
        return run
