"""KEDA's part, against its documentation.

https://keda.sh/docs/2.17/scalers/aws-sqs/ and https://keda.sh/docs/2.17/reference/scaledobject-spec/
"""

import math

import pytest

from darkroom_cli.planning.keda import Keda, QueueState, QueueUnreadableError, actual_messages
from darkroom_cli.planning.scaling import Fallback, Scaling

EMPTY = QueueState(0, 0)


def scaling(**changes: object) -> Scaling:
    return Scaling.model_validate(changes)


@pytest.mark.parametrize(
    ("waiting", "in_flight", "counted", "expected"),
    [
        (30, 12, True, 42),  # "ApproximateNumberOfMessages + ApproximateNumberOfMessagesNotVisible"
        (
            30,
            12,
            False,
            30,
        ),  # "if you wish to only scale on ApproximateNumberOfMessages set scaleOnInFlight to false"
        (0, 3, True, 3),
        (0, 3, False, 0),  # a pod that works on the last task counts for nothing
    ],
)
def test_actual_messages_are_the_documented_sum(
    waiting: int, in_flight: int, *, counted: bool, expected: int
) -> None:
    assert expected == actual_messages(QueueState(waiting, in_flight), scale_on_in_flight=counted)


def test_thirty_messages_with_a_queue_length_of_ten_are_three_pods() -> None:
    # "if one pod can handle 10 messages, set the queue length target to 10. If the actual messages in the SQS Queue
    # is 30, the scaler scales to 3 pods"
    keda = Keda(scaling(queue_length=10))
    assert 3 == math.ceil(keda.metric(1, QueueState(30, 0)) / 10)


@pytest.mark.parametrize(
    ("messages", "threshold", "expected"),
    [(1, 0, 1), (0, 0, 0), (5, 5, 0), (6, 5, 1)],  # active is more than the threshold, not as much
)
def test_it_wakes_a_runtime_once_there_are_more_messages_than_the_threshold(
    messages: int, threshold: int, expected: int
) -> None:
    keda = Keda(scaling(activation_queue_length=threshold))
    assert expected == keda.poll(0, 0, QueueState(messages, 0))


def test_it_puts_a_runtime_to_sleep_after_the_cooldown_since_it_was_last_seen_active() -> None:
    keda = Keda(scaling(cooldown_period=300))
    assert 1 == keda.poll(0, 0, QueueState(1, 0))
    assert 4 == keda.poll(100, 4, QueueState(0, 1))  # in flight: active
    assert 4 == keda.poll(400, 4, EMPTY)  # not yet later than 300 s
    assert 0 == keda.poll(405, 4, EMPTY)


def test_without_in_flight_a_runtime_is_put_to_sleep_while_it_works() -> None:
    keda = Keda(scaling(cooldown_period=60, scale_on_in_flight=False))
    keda.poll(0, 0, QueueState(1, 0))
    assert 0 == keda.poll(65, 8, QueueState(0, 8))


def test_a_runtime_with_a_minimum_is_never_put_below_it() -> None:
    keda = Keda(scaling(min_replica_count=2, cooldown_period=0))
    assert 2 == keda.poll(0, 0, EMPTY)
    assert 2 == keda.poll(1000, 2, EMPTY)


def test_the_fallback_answers_only_after_more_failures_in_a_row_than_the_threshold() -> None:
    # "target metric value * fallback replicas", once the failures pass the threshold
    keda = Keda(scaling(queue_length=10, fallback=Fallback(failure_threshold=3, replicas=6, behavior="static")))
    for _ in range(3):
        with pytest.raises(QueueUnreadableError):
            keda.metric(2, None)
    assert 60 == keda.metric(2, None)
    assert 7 == keda.metric(2, QueueState(7, 0))
    with pytest.raises(QueueUnreadableError):  # counted anew
        keda.metric(2, None)


@pytest.mark.parametrize(
    ("behavior", "current", "expected"),
    [
        ("static", 6, 3),
        ("currentReplicas", 6, 6),
        ("currentReplicasIfHigher", 6, 6),
        ("currentReplicasIfHigher", 2, 3),
        ("currentReplicasIfLower", 6, 3),
        ("currentReplicasIfLower", 2, 2),
    ],
)
def test_the_fallbacks_behaviours_are_the_documented_ones(behavior: str, current: int, expected: int) -> None:
    assert expected == Fallback.model_validate({"behavior": behavior, "replicas": 3}).count(current)


def test_a_queue_that_cannot_be_read_neither_wakes_a_runtime_nor_puts_it_to_sleep() -> None:
    keda = Keda(scaling(cooldown_period=0))
    assert 0 == keda.poll(0, 0, None)
    assert 5 == keda.poll(1000, 5, None)
