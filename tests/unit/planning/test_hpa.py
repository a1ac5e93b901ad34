"""The HPA, against https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/."""

import pytest

from darkroom_cli.planning.hpa import Autoscaler, wanted_replicas
from darkroom_cli.planning.scaling import Scaling


def autoscaler(**changes: object) -> Autoscaler:
    return Autoscaler(Scaling.model_validate({"maxReplicaCount": 200, **changes}), tolerance=0.1)


def rules(*policies: tuple[str, int, int], window: int = 0, select: str = "Max") -> dict[str, object]:
    listed = [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in policies]
    return {"stabilizationWindowSeconds": window, "selectPolicy": select, "policies": listed}


@pytest.mark.parametrize(
    ("replicas", "metric", "target", "expected"),
    [
        (2, 400, 100, 4),  # "if the current metric value is 200m, and the desired value is 100m": doubled
        (2, 100, 100, 1),  # "if the current value is instead 50m": halved
        (3, 31, 10, 3),  # 1.033 is within the tolerance of 0.1
        (3, 33, 10, 3),  # so is 1.1
        (3, 34, 10, 4),
        (10, 91, 10, 10),
        (10, 89, 10, 9),
        (1, 201, 10, 21),  # rounded up
        (4, 0, 10, 0),
    ],
)
def test_the_wanted_replicas_are_the_documented_ratio_rounded_up(
    replicas: int, metric: float, target: float, expected: int
) -> None:
    assert expected == wanted_replicas(replicas, metric, target, 0.1, 0.1)


def test_percent_and_pods_upwards_take_what_changes_most() -> None:
    hpa = autoscaler(behavior={"scaleUp": rules(("Percent", 100, 15), ("Pods", 4, 15))})
    assert 5 == hpa.sync(0, 1, 1000)  # 1 + 4
    assert 10 == hpa.sync(15, 5, 1000)  # 5 * 2
    assert 20 == hpa.sync(30, 10, 1000)


def test_a_percentage_upwards_is_rounded_up() -> None:
    hpa = autoscaler(behavior={"scaleUp": rules(("Percent", 10, 15))})
    assert 17 == hpa.sync(0, 15, 1000)  # 16.5


def test_a_policy_counts_what_it_changed_within_its_period() -> None:
    hpa = autoscaler(behavior={"scaleUp": rules(("Pods", 4, 60))})
    assert [5, 5, 5, 5, 9] == [hpa.sync(at, 1 if at == 0 else 5, 1000) for at in (0, 15, 30, 45, 60)]


def test_scaling_down_by_ten_percent_or_four_pods_is_the_documented_example() -> None:
    # "the number of replicas is 80 and the target is 10 … the first step reduces 8 replicas. In the next iteration
    # the number of replicas is 72: 10% of the pods is 7.2 but the number is rounded up to 8. … when the number of
    # replicas falls below 40 the first policy will be applied and 4 replicas will be reduced at a time."
    hpa = autoscaler(queue_length=1, behavior={"scaleDown": rules(("Pods", 4, 60), ("Percent", 10, 60))})
    counts = [80]
    for step in range(9):
        counts.append(hpa.sync(60.0 * step, counts[-1], 10))
    assert [80, 72, 64, 57, 51, 45, 40, 36, 32, 28] == counts


def test_min_takes_the_policy_that_changes_least() -> None:
    behavior = {"scaleDown": rules(("Percent", 10, 60), ("Pods", 5, 60), select="Min")}
    assert 75 == autoscaler(queue_length=1, behavior=behavior).sync(0, 80, 10)  # 5 pods, not 8


def test_disabled_forbids_a_direction() -> None:
    hpa = autoscaler(behavior={"scaleDown": rules(("Pods", 4, 60), select="Disabled")})
    assert 80 == hpa.sync(0, 80, 0)


def test_scaling_down_follows_the_highest_wish_within_the_window() -> None:
    hpa = autoscaler(queue_length=1, behavior={"scaleDown": rules(("Percent", 100, 15), window=60)})
    assert 10 == hpa.sync(0, 10, 10)
    assert 10 == hpa.sync(15, 10, 2)
    assert 10 == hpa.sync(45, 10, 1)
    assert 2 == hpa.sync(61, 10, 1)  # the wish for 10 is out of the window, that for 2 is not
    assert 1 == hpa.sync(76, 2, 1)


def test_scaling_up_waits_for_the_lowest_wish_within_the_window() -> None:
    hpa = autoscaler(queue_length=1, behavior={"scaleUp": rules(("Percent", 900, 15), window=30)})
    assert 2 == hpa.sync(0, 2, 2)
    assert 2 == hpa.sync(15, 2, 9)
    assert 9 == hpa.sync(31, 2, 9)


@pytest.mark.parametrize(
    ("replicas", "metric", "expected"),
    [(19, 10_000, 20), (25, 250, 20), (3, 0, 2), (1, 20, 2), (0, 500, 0)],
)
def test_it_keeps_to_the_minimum_and_the_maximum_and_rests_at_zero(
    replicas: int, metric: float, expected: int
) -> None:
    hpa = Autoscaler(
        Scaling.model_validate(
            {
                "minReplicaCount": 2,
                "maxReplicaCount": 20,
                "behavior": {"scaleDown": rules(("Percent", 100, 15))},
            }
        ),
        tolerance=0.1,
    )
    assert expected == hpa.sync(0, replicas, metric)


def test_a_direction_may_have_a_tolerance_of_its_own() -> None:
    hpa = autoscaler(behavior={"scaleUp": rules(("Pods", 4, 15)) | {"tolerance": 0}})
    assert 4 == hpa.sync(0, 3, 31)
