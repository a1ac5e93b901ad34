"""Pipelines on moto's Step Functions: what a document means is what comes of it."""

import time
from collections.abc import Callable
from functools import partial
from threading import Barrier, Event
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipelines.bench import SILENT, Bench, always
from tests.pipelines.engine import InMemoryMachines
from tests.pipelines.interpreter import interpret
from tests.pipelines.machines import Execution, Machines, StateError, unvisited

from darkroom import pipeline_runs, pipeline_tasks
from darkroom.aws.executions import StepFunctionsBeats
from darkroom.documents import read_document
from darkroom.models import now
from darkroom.pipelines import End, PipelineStatus

TEXT = {"prompt": "a dog", "steps": 4}
IN_MEMORY = InMemoryMachines()
Make = Callable[..., Bench]


@pytest.fixture(scope="module")
def make(machines: Machines) -> Make:
    return partial(Bench, machines)


def step(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "runtime": "sdruntime", "type": "text-to-image", "content": TEXT} | more


def upscale(id_: str, image: str, **more: Any) -> dict[str, Any]:
    return step(id_, type="extra-single-image", content={"image": image, "upscaler_1": "Lanczos"}, **more)


def test_a_step_gets_the_images_of_the_one_before(make: Make) -> None:
    bench = make(images=2)

    status, output = bench.run({"steps": [step("draft"), upscale("big", "${draft.images[1]}")]})

    assert (status, output["status"]) == ("SUCCEEDED", "succeeded")
    (task,) = bench.worked("big")
    assert task.content is not None
    assert task.content["image"].endswith("/1.png")
    assert (task.pipeline_id, task.step) == (bench.name, "big")


def test_a_whole_reference_keeps_its_type_and_one_inside_a_text_becomes_text(make: Make) -> None:
    bench = make()
    content = TEXT | {"seed": "${draft.info.seed}", "prompt": "seed ${draft.info.seed} of ${inputs.what}, $${x}"}

    bench.run({"inputs": {"what": "a cat"}, "steps": [step("draft"), step("next", content=content)]})

    (task,) = bench.worked("next")
    assert task.content == TEXT | {"seed": 7, "prompt": "seed 7 of a cat, ${x}", "alwayson_scripts": {}} or (
        task.content == TEXT | {"seed": 7, "prompt": "seed 7 of a cat, ${x}"}
    )


def test_foreach_runs_one_task_for_each_item_and_gives_all_images_in_order(make: Make) -> None:
    bench = make(images=2)

    bench.run({"steps": [step("draft"), upscale("big", "${item}", foreach="${draft.images}")]})

    pipeline = bench.store.get(bench.key)
    assert pipeline is not None
    assert [image.split("/")[-2].split("-")[2] for image in pipeline.images] == ["0", "0", "1", "1"]


def test_foreach_over_nothing_succeeds_with_nothing(make: Make) -> None:
    bench = make()

    assert bench.run({"steps": [step("draft", foreach=[])]})[0] == "SUCCEEDED"
    assert bench.statuses() == {"draft": "succeeded"}


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        pytest.param("${draft.status} == 'succeeded'", "succeeded", id="so it is"),
        pytest.param("${draft.status} != 'succeeded'", "skipped", id="so it is not"),
        pytest.param("${draft.info.seed} > 6", "succeeded", id="a number"),
        pytest.param("${draft.info.seed} > 'x'", "skipped", id="of another type"),
        pytest.param("not ${draft.images}", "skipped", id="not"),
        pytest.param("'a' in ${inputs.list}", "succeeded", id="in a list"),
        pytest.param("${inputs.on}", "skipped", id="one value"),
    ],
)
def test_when_decides_whether_a_step_runs(make: Make, condition: str, status: str) -> None:
    bench = make()

    ended, _ = bench.run(
        {"inputs": {"list": ["a"], "on": False}, "steps": [step("draft"), step("b", when=condition)]}
    )

    assert ended == "SUCCEEDED"
    assert bench.statuses()["b"] == status


def test_a_step_is_tried_again_as_its_retry_says_and_waits_longer_each_time(make: Make) -> None:
    bench = make(fate=always("boom", "boom", None))

    bench.run({"steps": [step("a", retry={"max_attempts": 3, "backoff_seconds": 2})]})

    assert bench.statuses() == {"a": "succeeded"}
    assert [it["try"]["seconds"] for it in bench.execution.inputs("WaitForTask")] == [2, 4]


def test_only_the_errors_that_retry_names_are_tried_again(make: Make) -> None:
    bench = make(fate=always("boom", None))

    error, cause = bench.run({"steps": [step("a", retry={"max_attempts": 3, "on": ["timeout"]})]})

    assert (error, bench.tries) == ("PipelineFailed", {("a", 0): 1})
    assert cause == "boom: step a: boom"


def test_a_failed_step_ends_the_pipeline_and_its_error_is_the_pipelines(make: Make) -> None:
    bench = make(fate=always("boom"))

    assert bench.run({"steps": [step("a"), step("b", needs=["a"])]}) == ("PipelineFailed", "boom: step a: boom")
    assert bench.statuses() == {"a": "failed"}


def test_after_a_step_that_may_fail_the_others_go_on_and_those_that_build_on_it_are_skipped(make: Make) -> None:
    bench = make(fate=lambda name, _: ["boom"] if name == "a" else [None])

    status, _ = bench.run(
        {
            "steps": [
                step("a", on_failure="continue"),
                step("after", needs=["a"]),
                upscale("on", "${a.images[0]}"),
                upscale("upon", "${on.images[0]}"),
                step("instead", when="${a.status} == 'failed'"),
            ]
        }
    )

    assert status == "SUCCEEDED"
    assert bench.statuses() == {
        "a": "failed",
        "after": "succeeded",
        "on": "skipped",
        "upon": "skipped",
        "instead": "succeeded",
    }


def test_a_task_that_says_nothing_in_its_time_is_cancelled_and_its_step_fails_as_timed_out(make: Make) -> None:
    bench = make(fate=always(SILENT))

    error, cause = bench.run({"steps": [step("a", timeout_seconds=2)]})

    assert (error, cause.split(":")[0]) == ("PipelineFailed", "timeout")
    (task,) = bench.worked("a")
    assert task.status == "cancelled"


def test_a_task_of_which_nothing_is_heard_is_given_up_and_its_step_tried_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat_every(1, monkeypatch)
    bench = make(fate=always(SILENT, None))

    ended, _ = bench.run({"steps": [step("a", retry={"max_attempts": 2, "backoff_seconds": 0, "on": ["silent"]})]})

    assert (ended, bench.tries) == ("SUCCEEDED", {("a", 0): 2})


def test_a_task_that_is_said_to_be_alive_is_waited_for(
    make: Make, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat_every(1, monkeypatch)
    bench, beats = make(), StepFunctionsBeats(machines.client)

    def beat(payload: dict[str, Any]) -> None:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            beats.beat(payload["token"])
            Event().wait(0.2)

    bench.meanwhile = beat

    assert bench.run({"steps": [step("a")]})[0] == "SUCCEEDED"
    assert bench.tries == {("a", 0): 1}


def beat_every(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pipeline_runs, pipeline_tasks):
        monkeypatch.setattr(module, "HEARTBEAT", seconds)


@pytest.mark.parametrize("on_failure", ["fail", "continue"])
def test_a_pipeline_that_is_not_finished_before_its_deadline_fails_with_it(make: Make, on_failure: str) -> None:
    bench = make(fate=always(SILENT))
    late = step("a", on_failure=on_failure, retry={"max_attempts": 9})

    error, cause = bench.run({"deadline_seconds": 1, "steps": [late, step("b", needs=["a"])]})

    assert (error, cause) == ("PipelineFailed", "deadline: the pipeline was not finished before its deadline")
    assert "b" not in bench.statuses()


def test_no_more_tasks_are_under_way_than_max_parallel_says(make: Make) -> None:
    bench = make()
    four = Barrier(4)

    def wait_for_three_more(payload: dict[str, Any]) -> None:
        if payload["step"] != "last":
            four.wait(20)

    bench.meanwhile = wait_for_three_more
    steps = [step("a", foreach=[1] * 6), step("b", foreach=[1] * 6), step("last", needs=["a", "b"])]

    assert bench.run({"max_parallel": 4, "steps": steps})[0] == "SUCCEEDED"
    assert bench.peak == 4


@pytest.mark.parametrize("when", ["before", "after"])
def test_functions_that_die_once_before_or_after_their_work_leave_nothing_undone_and_nothing_over(
    when: str,
) -> None:
    bench = Bench(IN_MEMORY)  # any real engine waits a second before each further call
    died: set[tuple[Any, ...]] = set()

    def die(payload: dict[str, Any]) -> None:
        life = (payload["do"], payload.get("step"), payload.get("index"))
        if life not in died:
            died.add(life)
            raise StateError("Runtime.ExitError", "signal: killed")

    setattr(bench, when, die)
    document = {"steps": [step("a"), upscale("b", "${item}", foreach="${a.images}"), step("c", when="1")]}

    assert bench.run(document)[0] == "SUCCEEDED"
    assert {do for do, *_ in died} == {"plan", "layer", "prepare", "start", "end_step", "end"}
    assert bench.statuses() == {"a": "succeeded", "b": "succeeded", "c": "succeeded"}
    assert bench.unfinished() == []


def test_a_retry_runs_what_failed_and_keeps_what_succeeded_single_items_included(make: Make) -> None:
    bench = make(fate=lambda name, index: ["boom", None] if (name, index) == ("each", 1) else [None])
    document = {
        "steps": [
            step("draft"),
            step("each", foreach=["a", "b", "c"], needs=["draft"]),
            step("last", needs=["each"]),
        ]
    }

    assert bench.run(document)[0] == "PipelineFailed"
    assert bench.run_again()[0] == "SUCCEEDED"

    assert bench.statuses() == {"draft": "succeeded", "each": "succeeded", "last": "succeeded"}
    assert bench.tries == {("draft", 0): 1, ("each", 0): 1, ("each", 1): 2, ("each", 2): 1, ("last", 0): 1}
    pipeline = bench.store.get(bench.key)
    assert pipeline is not None
    assert (pipeline.status, pipeline.run) == ("succeeded", 2)


def test_a_reference_past_the_end_fails_the_step_and_is_not_tried_again(make: Make) -> None:
    bench = make()

    error, cause = bench.run({"steps": [step("a"), upscale("b", "${a.images[7]}", retry={"max_attempts": 5})]})

    assert (error, cause) == ("PipelineFailed", "reference: step b: ${a.images[7]} finds nothing at 7")


def test_a_wrong_document_fails_with_the_paths_of_its_faults(make: Make) -> None:
    error, cause = make().run({"steps": [step("a", runtime="typo")]})

    assert error == "PipelineFailed"
    assert cause.startswith("InvalidRequestError")


def test_a_pipeline_that_is_cancelled_starts_nothing_more_and_ends_as_cancelled(make: Make) -> None:
    bench = make()

    def cancel(payload: dict[str, Any]) -> None:
        if payload["do"] == "end_step":
            bench.store.end(bench.key, 1, End(now(), PipelineStatus.CANCELLED))

    bench.before = cancel

    assert bench.run({"steps": [step("a"), step("b", needs=["a"])]})[0] == "PipelineCancelled"
    assert "b" not in bench.statuses()


def test_a_task_that_starts_while_its_pipeline_ends_is_cancelled(make: Make) -> None:
    """Between the check and the write, the pipeline ends: what clears it has not seen the task yet."""
    bench = make()
    submit = bench.tasks.submit

    def submit_late(task: Any, **more: Any) -> Any:
        bench.store.end(bench.key, 1, End(now(), PipelineStatus.CANCELLED))
        return submit(task, **more)

    bench.tasks.submit = submit_late  # type: ignore[method-assign]

    bench.run({"steps": [step("a")]})

    (task,) = bench.worked("a")
    assert task.status == "cancelled"


def test_a_hundred_steps_of_a_hundred_images_stay_below_the_limit_of_step_functions(make: Make) -> None:
    bench = make(images=100)
    steps = [step("first"), *(upscale(f"s{n}", f"${{first.images[{n}]}}") for n in range(98))]
    steps += [upscale("last", "${s97.images[99]}", needs=[f"s{n}" for n in range(98)])]

    assert bench.run({"steps": steps})[0] == "SUCCEEDED"

    assert bench.execution.largest < 20_000  # of 262,144


def test_every_transition_of_the_pipeline_is_run(make: Make) -> None:
    fail_once = always("boom", None)
    executions = [_broken(make, "layer"), _cancelled(make)]
    for fate, document in (
        (always(None), {"steps": [step("a"), upscale("b", "${item}", foreach="${a.images}"), step("c", when="1")]}),
        (always(None), {"steps": [step("a", when="0")]}),
        (fail_once, {"steps": [step("a", retry={}), step("b", foreach=[1], retry={})]}),
        (
            always("boom"),
            {"steps": [step("a", on_failure="continue"), step("b", foreach=[1], on_failure="continue")]},
        ),
        (always("boom"), {"steps": [step("a")]}),
        (always(None), {"steps": []}),
    ):
        bench = make(fate=fate)
        bench.run(document)
        executions.append(bench.execution)

    assert unvisited("pipeline", executions) == set()


def _broken(make: Make, what: str) -> Execution:
    """A run in which a function breaks for good."""
    bench = make()

    def breaks(payload: dict[str, Any]) -> None:
        if payload["do"] == what:
            raise StateError("Broken")

    bench.before = breaks
    error, _ = bench.run({"steps": [step("a")]})
    assert error == "PipelineFailed"
    return bench.execution


def _cancelled(make: Make) -> Execution:
    bench = make()

    def cancel(payload: dict[str, Any]) -> None:
        if payload["do"] == "end":
            bench.store.end(bench.key, 1, End(now(), PipelineStatus.CANCELLED))

    bench.before = cancel
    bench.run({"steps": [step("a")]})
    return bench.execution


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 30))):
        earlier = [s["id"] for s in steps]
        more: dict[str, Any] = {
            "needs": draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if earlier else [],
            "on_failure": draw(st.sampled_from(["continue", "continue", "fail"])),
            "retry": {
                "max_attempts": draw(st.integers(1, 4)),
                "on": draw(st.sampled_from([["*"], ["a"], ["a", "b"]])),
            },
        }
        kind = draw(st.sampled_from(["plain", "list", "image", "each"])) if earlier else "plain"
        if kind == "list":
            more["foreach"] = list(range(draw(st.integers(0, 3))))
        if kind == "each":
            more["foreach"] = f"${{{draw(st.sampled_from(earlier))}.images}}"
        if kind == "image":
            steps.append(upscale(f"s{number}", f"x ${{{draw(st.sampled_from(earlier))}.images}}", **more))
        else:
            steps.append(step(f"s{number}", **more))
    return {"steps": steps}


ENDS = st.lists(st.sampled_from(["a", "b", None, None, None]), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None)
@given(document=documents(), ends=st.lists(ENDS, min_size=7, max_size=7))
def test_random_pipelines_end_as_the_interpreter_says(
    document: dict[str, Any], ends: list[list[str | None]]
) -> None:
    check(document, ends, Bench(IN_MEMORY))


@settings(max_examples=6, deadline=None)
@given(document=documents(), ends=st.lists(ENDS, min_size=7, max_size=7))
def test_random_pipelines_end_so_on_motos_engine_too(
    make: Make, document: dict[str, Any], ends: list[list[str | None]]
) -> None:
    check(document, ends, make())


def check(document: dict[str, Any], ends: list[list[str | None]], bench: Bench) -> None:
    """Run a document whose tasks end as `ends` says, and compare."""

    def fate(name: str, index: int) -> list[str | None]:
        return ends[(int(name[1:]) * 3 + index) % 7]

    meaning = interpret(read_document(document), fate)
    bench.fate = fate
    status, _ = bench.run(document)

    assert status == ("SUCCEEDED" if meaning.status == "succeeded" else "PipelineFailed")
    if status == "SUCCEEDED":
        assert bench.statuses() == meaning.steps
        assert bench.tries == meaning.tries
    else:
        assert {k: v for k, v in bench.statuses().items() if v != "running"}.items() <= meaning.steps.items()


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        pytest.param([step("a")], 6 + 3 + 3, id="one step"),
        pytest.param([step("a"), step("b")], 6 + 3 + 2 * 3, id="two side by side"),
        pytest.param([step("a"), step("b", needs=["a"])], 6 + 2 * 3 + 2 * 3, id="two one after the other"),
        pytest.param([step("a", when="1")], 6 + 3 + 5, id="with a condition"),
        pytest.param([step("a", foreach=[1, 2])], 6 + 3 + 5 + 2 * 2, id="with two items"),
    ],
)
def test_a_pipeline_takes_as_many_state_transitions_as_the_documentation_says(
    make: Make, steps: list[Any], count: int
) -> None:
    bench = make()

    bench.run({"steps": steps})

    assert len(bench.execution.entered) == count
