"""KEDA: what it reads of the queue, and how it wakes a runtime and puts it to sleep.

Sources: https://keda.sh/docs/2.17/scalers/aws-sqs/ (the metric, activation),
https://keda.sh/docs/2.17/reference/scaledobject-spec/ (polling, cooldown, fallback).
"""

from dataclasses import dataclass

from darkroom_cli.planning.scaling import Scaling


class QueueUnreadableError(Exception):
    """The queue could not be read."""


@dataclass(frozen=True)
class QueueState:
    """What SQS says of a queue: messages that wait, and messages that somebody works on."""

    waiting: int
    in_flight: int


def actual_messages(queue: QueueState, *, scale_on_in_flight: bool) -> int:
    """KEDA's formula, in messages.

    `ApproximateNumberOfMessages`, plus `ApproximateNumberOfMessagesNotVisible` unless `scaleOnInFlight` is off.
    """
    return queue.waiting + (queue.in_flight if scale_on_in_flight else 0)


class Keda:
    """One ScaledObject with one SQS trigger.

    It does two things: every `pollingInterval` it wakes from zero and, after `cooldownPeriod`, puts to zero
    (`poll`); and it answers the HPA's questions for the metric (`metric`), which do everything in between.
    """

    def __init__(self, scaling: Scaling) -> None:
        self._scaling = scaling
        self._failures = 0
        self._last_active: float | None = None

    def poll(self, now: float, replicas: int, queue: QueueState | None) -> int:
        """The replicas there are to be after a poll; `queue` is None where it cannot be read."""
        scaling = self._scaling
        if queue is None:
            return replicas  # neither waked nor put to sleep by what is not known
        messages = actual_messages(queue, scale_on_in_flight=scaling.scale_on_in_flight)
        if messages > scaling.activation_queue_length:
            self._last_active = now
            return replicas or max(1, scaling.min_replica_count)
        if replicas < scaling.min_replica_count:
            return scaling.min_replica_count
        if replicas and scaling.min_replica_count == 0 and self._is_cool(now):
            return 0
        return replicas

    def _is_cool(self, now: float) -> bool:
        return self._last_active is None or self._last_active + self._scaling.cooldown_period < now

    def metric(self, replicas: int, queue: QueueState | None) -> float:
        """What KEDA answers the HPA, whose target is `queueLength` for each replica.

        Raises:
            QueueUnreadableError: the queue cannot be read, and not often enough in a row for the fallback.
        """
        scaling = self._scaling
        if queue is not None:
            self._failures = 0
            return actual_messages(queue, scale_on_in_flight=scaling.scale_on_in_flight)
        self._failures += 1
        if scaling.fallback is None or self._failures <= scaling.fallback.failure_threshold:
            raise QueueUnreadableError
        return float(scaling.queue_length * scaling.fallback.count(replicas))
