"""The horizontal pod autoscaler of Kubernetes, for one external metric with a target average value.

Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm details,
configurable scaling behaviour).
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from darkroom_cli.planning.scaling import Policy, Rules, Scaling


@dataclass(frozen=True)
class _Change:
    at: float
    replicas: int


def wanted_replicas(replicas: int, metric: float, target: float, tolerance_up: float, tolerance_down: float) -> int:
    """`ceil(replicas * average / target)`, and the average is `metric / replicas`: so `ceil(metric / target)`.

    Where the average is close enough to the target, the replicas there are.
    """
    ratio = metric / (target * replicas)
    if 1 - tolerance_down <= ratio <= 1 + tolerance_up:
        return replicas
    return math.ceil(metric / target)


class Autoscaler:
    """One HPA, as KEDA makes it: at least one replica, since KEDA itself handles zero."""

    def __init__(self, scaling: Scaling, tolerance: float) -> None:
        self._target = scaling.queue_length
        self._least = max(1, scaling.min_replica_count)
        self._most = scaling.max_replica_count
        self._up = scaling.behavior.scale_up
        self._down = scaling.behavior.scale_down
        self._tolerance_up = tolerance if self._up.tolerance is None else self._up.tolerance
        self._tolerance_down = tolerance if self._down.tolerance is None else self._down.tolerance
        self._wishes: deque[_Change] = deque()
        self._added: deque[_Change] = deque()
        self._removed: deque[_Change] = deque()

    def sync(self, now: float, replicas: int, metric: float) -> int:
        """The replicas there are to be after one period, with so many now; at zero it does nothing."""
        if replicas == 0:
            return 0
        if not self._least <= replicas <= self._most:
            return min(max(replicas, self._least), self._most)
        wish = wanted_replicas(replicas, metric, self._target, self._tolerance_up, self._tolerance_down)
        result = self._limited(now, replicas, self._stabilised(now, replicas, wish))
        if result > replicas:
            self._added.append(_Change(now, result - replicas))
        elif result < replicas:
            self._removed.append(_Change(now, replicas - result))
        return result

    def _stabilised(self, now: float, replicas: int, wish: int) -> int:
        """Up no further than the least, down no further than the most that was wished within the windows."""
        self._wishes.append(_Change(now, wish))
        windows = self._up.stabilization_window_seconds, self._down.stabilization_window_seconds
        while self._wishes[0].at < now - max(windows):
            self._wishes.popleft()
        up = min(it.replicas for it in self._wishes if it.at > now - windows[0] or it.at == now)
        down = max(it.replicas for it in self._wishes if it.at > now - windows[1] or it.at == now)
        return min(max(replicas, up), down)

    def _limited(self, now: float, replicas: int, wish: int) -> int:
        if wish > replicas:
            highest = max(self._bound(now, replicas, self._up, upwards=True), replicas)
            return min(wish, highest, self._most)
        if wish < replicas:
            lowest = min(self._bound(now, replicas, self._down, upwards=False), replicas)
            return max(wish, lowest, self._least)
        return replicas

    def _bound(self, now: float, replicas: int, rules: Rules, *, upwards: bool) -> int:
        """How far the policies let it go; `Max` takes the one that changes most."""
        if rules.select_policy == "Disabled":
            return replicas
        bounds = [self._policy_bound(now, replicas, policy, upwards=upwards) for policy in rules.policies]
        furthest = max if (rules.select_policy == "Max") == upwards else min
        return furthest(bounds)

    def _policy_bound(self, now: float, replicas: int, policy: Policy, *, upwards: bool) -> int:
        since = now - policy.period_seconds
        before = replicas - _sum(self._added, since) + _sum(self._removed, since)
        sign = 1 if upwards else -1
        if policy.type == "Pods":
            return before + sign * policy.value
        changed = before * (100 + sign * policy.value)  # in percent, exactly
        return -(-changed // 100) if upwards else max(changed, 0) // 100


def _sum(changes: Iterable[_Change], since: float) -> int:
    return sum(change.replicas for change in changes if change.at > since)
