"""Pods on GPU nodes, one on each, as Karpenter starts and ends them for a Deployment."""

from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import TYPE_CHECKING

from darkroom_cli.planning.assumptions import Assumptions
from darkroom_cli.planning.backlog import PlannedQueue, PlannedTask
from darkroom_cli.planning.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable


class Stage(IntEnum):
    """How far a pod is; a Deployment gives up those first that are least far."""

    PENDING = auto()  # its node is not ready
    STARTING = auto()  # pulls its image, starts, loads its model
    READY = auto()


@dataclass(eq=False)
class Node:
    """One instance. `ended` is None while it runs."""

    requested: float
    ready: float | None = None
    pod: "Pod | None" = None
    had_pod: bool = False
    empty_since: float | None = None
    ended: float | None = None


@dataclass(eq=False)
class Pod:
    """One replica, with the seconds at which it got further."""

    created: float
    node: Node
    stage: Stage = Stage.PENDING
    scheduled: float | None = None
    pulled: float | None = None
    ready: float | None = None
    leaving: bool = False
    task: PlannedTask | None = None
    served: list[PlannedTask] = field(default_factory=list)


class Fleet:
    """All pods and nodes of a runtime."""

    def __init__(
        self, clock: Clock, queue: PlannedQueue, assumptions: Assumptions, consolidate_after: float, *, cached: bool
    ) -> None:
        self.pods: list[Pod] = []
        self.nodes: list[Node] = []
        self.on_first: Callable[[Pod], None] = lambda _: None
        self._clock = clock
        self._queue = queue
        self._assume = assumptions
        self._consolidate_after = consolidate_after
        self._cached = cached

    @property
    def replicas(self) -> int:
        """Pods that are to stay."""
        return sum(not pod.leaving for pod in self.pods)

    @property
    def ready(self) -> int:
        """Pods that work or could."""
        return sum(pod.stage is Stage.READY for pod in self.pods)

    @property
    def running_nodes(self) -> int:
        """Nodes that are paid for."""
        return sum(node.ended is None for node in self.nodes)

    def scale(self, replicas: int) -> None:
        """Make it so many pods: more are created, too many leave."""
        staying = [pod for pod in self.pods if not pod.leaving]
        for _ in range(replicas - len(staying)):
            self._create()
        leavers = sorted(staying, key=lambda pod: (pod.stage, pod.task is not None, -pod.created))
        for pod in leavers[: max(0, len(staying) - replicas)]:
            self._dismiss(pod)

    def offer(self) -> None:
        """Give what waits to pods that have nothing to do."""
        for pod in self.pods:
            if pod.stage is Stage.READY and pod.task is None:
                self._work(pod)

    def _create(self) -> None:
        now = self._clock.now
        free = [node for node in self.nodes if node.ended is None and node.pod is None]
        node = min(free, key=lambda it: (it.ready is None, it.requested), default=None)
        if node is None:
            node = Node(requested=now)
            self.nodes.append(node)
            self._clock.after(self._assume.batch + self._assume.node, lambda: self._join(node))
        pod = Pod(created=now, node=node)
        node.pod, node.empty_since = pod, None
        self.pods.append(pod)
        if node.ready is not None:
            self._start(pod)

    def _join(self, node: Node) -> None:
        node.ready = self._clock.now
        if node.pod is not None:
            self._start(node.pod)
        else:
            self._empty(node)

    def _start(self, pod: Pod) -> None:
        pod.stage, pod.scheduled = Stage.STARTING, self._clock.now
        warm = pod.node.had_pod
        pod.node.had_pod = True
        pull = 0.0 if warm else self._assume.image_seconds(cached=self._cached)
        pod.pulled = self._clock.now + pull
        self._clock.after(pull + self._assume.start_seconds(warm=warm), lambda: self._get_ready(pod))

    def _get_ready(self, pod: Pod) -> None:
        if pod in self.pods:
            pod.stage, pod.ready = Stage.READY, self._clock.now
            self._work(pod)

    def _work(self, pod: Pod) -> None:
        task = self._queue.take(self._clock.now)
        if task is None:
            return
        pod.task = task
        self._clock.after(task.work, lambda: self._finish(pod, task))

    def _finish(self, pod: Pod, task: PlannedTask) -> None:
        self._queue.finish(task, self._clock.now, self._assume.upload)
        pod.served.append(task)
        self.on_first(pod)
        if pod.leaving:
            self._remove(pod)
            return
        self._clock.after(self._assume.hand_over, lambda: self._next(pod))

    def _next(self, pod: Pod) -> None:
        pod.task = None
        if pod.leaving:
            self._remove(pod)
        else:
            self._work(pod)

    def _dismiss(self, pod: Pod) -> None:
        """A pod that works finishes its task first; its agent takes no other (SIGTERM drains it)."""
        pod.leaving = True
        if pod.task is None:
            self._remove(pod)

    def _remove(self, pod: Pod) -> None:
        if pod in self.pods:
            self.pods.remove(pod)
            pod.node.pod = None
            if pod.node.ready is not None:
                self._empty(pod.node)

    def _empty(self, node: Node) -> None:
        """Karpenter ends a node that has been empty for `consolidateAfter`."""
        since = node.empty_since = self._clock.now

        def end() -> None:
            if node.empty_since == since and node.pod is None:
                node.ended = self._clock.now

        if self._consolidate_after != float("inf"):
            self._clock.after(self._consolidate_after, end)
