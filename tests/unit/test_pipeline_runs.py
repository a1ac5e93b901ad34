"""Pipelines on an engine of the tests' own: what a document means is what comes of it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipelines.bench import SILENT, Bench, always
from tests.pipelines.engine import StateError, definition, transitions
from tests.pipelines.interpreter import interpret

from darkroom.documents import read_document
from darkroom.models import now
from darkroom.pipelines import End, PipelineStatus

TEXT = {"prompt": "a dog", "steps": 4}


def step(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "runtime": "sdruntime", "type": "text-to-image", "content": TEXT} | more


def upscale(id_: str, image: str, **more: Any) -> dict[str, Any]:
    return step(id_, type="extra-single-image", content={"image": image, "upscaler_1": "Lanczos"}, **more)


def test_a_step_gets_the_images_of_the_one_before() -> None:
    bench = Bench(images=2)

    status, output = bench.run({"steps": [step("draft"), upscale("big", "${draft.images[1]}")]})

    assert (status, output["status"]) == ("SUCCEEDED", "succeeded")
    (assignment,) = bench.store.assignments(bench.key(), "big")
    task = bench.tasks.get(assignment.key("account"))  # type: ignore[arg-type]
    assert task is not None
    assert task.content is not None
    assert task.content["image"].endswith("/1.png")
    assert (task.pipeline_id, task.step) == ("p", "big")


def test_a_whole_reference_keeps_its_type_and_one_inside_a_text_becomes_text() -> None:
    bench = Bench()
    content = TEXT | {"seed": "${draft.info.seed}", "prompt": "seed ${draft.info.seed} of ${inputs.what}, $${x}"}

    bench.run({"inputs": {"what": "a cat"}, "steps": [step("draft"), step("next", content=content)]})

    (assignment,) = bench.store.assignments(bench.key(), "next")
    task = bench.tasks.get(assignment.key("account"))  # type: ignore[arg-type]
    assert task is not None
    assert task.content == TEXT | {"seed": 7, "prompt": "seed 7 of a cat, ${x}", "alwayson_scripts": {}} or (
        task.content == TEXT | {"seed": 7, "prompt": "seed 7 of a cat, ${x}"}
    )


def test_foreach_runs_one_task_for_each_item_and_gives_all_images_in_order() -> None:
    bench = Bench(images=2)

    bench.run({"steps": [step("draft"), upscale("big", "${item}", foreach="${draft.images}")]})

    pipeline = bench.store.get(bench.key())
    assert pipeline is not None
    assert [image.split("/")[-2].split("-")[2] for image in pipeline.images] == ["0", "0", "1", "1"]


def test_foreach_over_nothing_succeeds_with_nothing() -> None:
    bench = Bench()

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
def test_when_decides_whether_a_step_runs(condition: str, status: str) -> None:
    bench = Bench()

    ended, _ = bench.run(
        {"inputs": {"list": ["a"], "on": False}, "steps": [step("draft"), step("b", when=condition)]}
    )

    assert ended == "SUCCEEDED"
    assert bench.statuses()["b"] == status


def test_a_step_is_tried_again_as_its_retry_says_and_waits_longer_each_time() -> None:
    bench = Bench(fate=always("boom", "boom", None))

    bench.run({"steps": [step("a", retry={"max_attempts": 3, "backoff_seconds": 2})]})

    assert bench.statuses() == {"a": "succeeded"}
    assert bench.engine.waited == [2, 4]


def test_only_the_errors_that_retry_names_are_tried_again() -> None:
    bench = Bench(fate=always("boom", None))

    error, cause = bench.run({"steps": [step("a", retry={"max_attempts": 3, "on": ["timeout"]})]})

    assert (error, bench.tries) == ("PipelineFailed", {("a", 0): 1})
    assert cause == "boom: step a: boom"


def test_a_failed_step_ends_the_pipeline_and_its_error_is_the_pipelines() -> None:
    bench = Bench(fate=always("boom"))

    assert bench.run({"steps": [step("a"), step("b", needs=["a"])]}) == ("PipelineFailed", "boom: step a: boom")
    assert bench.statuses() == {"a": "failed"}


def test_after_a_step_that_may_fail_the_others_go_on_and_those_that_build_on_it_are_skipped() -> None:
    bench = Bench(fate=lambda name, _: ["boom"] if name == "a" else [None])

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


def test_a_task_that_says_nothing_in_its_time_is_cancelled_and_its_step_fails_as_timed_out() -> None:
    bench = Bench(fate=always(SILENT))

    error, cause = bench.run({"steps": [step("a", timeout_seconds=5)]})

    assert (error, cause.split(":")[0]) == ("PipelineFailed", "timeout")
    (assignment,) = bench.store.assignments(bench.key())
    task = bench.tasks.get(assignment.key("account"))  # type: ignore[arg-type]
    assert task is not None
    assert task.status == "cancelled"


def test_a_reference_past_the_end_fails_the_step_and_is_not_tried_again() -> None:
    bench = Bench()

    error, cause = bench.run({"steps": [step("a"), upscale("b", "${a.images[7]}", retry={"max_attempts": 5})]})

    assert (error, cause) == ("PipelineFailed", "reference: step b: ${a.images[7]} finds nothing at 7")


def test_a_wrong_document_fails_with_the_paths_of_its_faults() -> None:
    error, cause = Bench().run({"steps": [step("a", runtime="typo")]})

    assert error == "PipelineFailed"
    assert cause.startswith("InvalidRequestError")


def test_a_pipeline_that_is_cancelled_starts_nothing_more_and_ends_as_cancelled() -> None:
    bench = Bench()

    def cancel(payload: dict[str, Any]) -> None:
        if payload["do"] == "end_step":
            bench.store.end(bench.key(), 1, End(now(), PipelineStatus.CANCELLED))

    bench.before = cancel

    assert bench.run({"steps": [step("a"), step("b", needs=["a"])]})[0] == "PipelineCancelled"
    assert "b" not in bench.statuses()


def test_a_task_that_starts_while_its_pipeline_ends_is_cancelled() -> None:
    """Between the check and the write, the pipeline ends: what clears it has not seen the task yet."""
    bench = Bench()
    submit = bench.tasks.submit

    def submit_late(task: Any, **more: Any) -> Any:
        bench.store.end(bench.key(), 1, End(now(), PipelineStatus.CANCELLED))
        return submit(task, **more)

    bench.tasks.submit = submit_late  # type: ignore[method-assign]

    bench.run({"steps": [step("a")]})

    (assignment,) = bench.store.assignments(bench.key())
    task = bench.tasks.get(assignment.key("account"))  # type: ignore[arg-type]
    assert task is not None
    assert task.status == "cancelled"


def test_a_hundred_steps_of_a_hundred_images_stay_below_the_limit_of_step_functions() -> None:
    bench = Bench(images=100)
    steps = [step("s0")] + [upscale(f"s{n}", f"${{s{n - 1}.images[99]}}") for n in range(1, 100)]

    assert bench.run({"steps": steps})[0] == "SUCCEEDED"

    assert bench.engine.largest < 20_000  # of 262,144: the engine holds every state to that


def test_every_transition_of_the_pipeline_is_run() -> None:
    visited: set[tuple[str, str]] = set()
    fail_once = always("boom", None)
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
        bench = Bench(fate=fate)
        bench.run(document)
        visited |= set(bench.engine.visits)
    visited |= _broken("layer") | _cancelled()

    assert transitions(definition("pipeline")) - visited == set()


def _broken(what: str) -> set[tuple[str, str]]:
    """A run in which a function breaks for good."""
    bench = Bench()

    def breaks(payload: dict[str, Any]) -> None:
        if payload["do"] == what:
            raise StateError("Broken")

    bench.before = breaks
    error, _ = bench.run({"steps": [step("a")]})
    assert error == "PipelineFailed"
    return set(bench.engine.visits)


def _cancelled() -> set[tuple[str, str]]:
    bench = Bench()

    def cancel(payload: dict[str, Any]) -> None:
        if payload["do"] == "end":
            bench.store.end(bench.key(), 1, End(now(), PipelineStatus.CANCELLED))

    bench.before = cancel
    bench.run({"steps": [step("a")]})
    return set(bench.engine.visits)


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


@settings(max_examples=60, deadline=None)
@given(document=documents(), ends=st.lists(ENDS, min_size=7, max_size=7))
def test_random_pipelines_end_as_the_interpreter_says(
    document: dict[str, Any], ends: list[list[str | None]]
) -> None:
    def fate(name: str, index: int) -> list[str | None]:
        return ends[(int(name[1:]) * 3 + index) % 7]

    meaning = interpret(read_document(document), fate)
    bench = Bench(fate=fate)
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
def test_a_pipeline_takes_as_many_state_transitions_as_the_documentation_says(steps: list[Any], count: int) -> None:
    bench = Bench()

    bench.run({"steps": steps})

    assert sum(bench.engine.visits.values()) == count
