"""How a pipeline looks on a terminal."""

import io
from typing import Any

from rich.console import Console

from darkroom.models import JsonObject
from darkroom_cli.commands.pipeline_views import tree


def step(id_: str, status: str, **more: Any) -> JsonObject:
    known = {
        "id": id_,
        "status": status,
        "runtime": "sdruntime",
        "needs": [],
        "items": 1,
        "done": 0,
        "progress": 0.0,
    }
    return known | {"error": None} | more


def shown(*steps: JsonObject, **more: Any) -> list[str]:
    pipeline = {"id": "p1", "name": "poster", "status": "running", "error": None, "steps": list(steps)} | more
    out = io.StringIO()
    Console(file=out, width=100, force_terminal=True, color_system=None).print(tree(pipeline))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_steps_stand_below_those_that_they_wait_for_and_their_columns_line_up() -> None:
    lines = shown(
        step("draft", "succeeded", progress=1.0),
        step("each-of-them", "running", needs=["draft"], items=4, done=1, progress=0.25),
        step("x", "waiting", needs=["draft", "each-of-them"]),
    )

    assert lines[0] == "p1  poster  running"
    statuses = ("succeeded", "running", "waiting")
    assert len({line.index(status) for line, status in zip(lines[1:], statuses, strict=True)}) == 1
    assert [line.split()[-2] for line in lines[1:]] == ["100%", "1/4", "0%"]
    assert [line.count("━") for line in lines[1:]] == [24, 6, 0]


def test_why_a_step_and_a_pipeline_failed_is_said_where_it_belongs() -> None:
    error = {"type": "timeout", "message": "the task took longer than it may"}

    lines = shown(
        step("draft", "failed", error=error), status="failed", error={"type": "boom", "message": "it broke"}
    )

    assert "timeout: the task took longer than it may" in lines[2]
    assert lines[3].endswith("boom: it broke")
