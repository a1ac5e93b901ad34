"""`darkroom pipelines …`: many steps, several runtimes, one execution."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from darkroom.models import JsonObject
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import UsageError
from darkroom_cli.exits import ExitCode
from darkroom_cli.pipelines import ENDED, PipelineClient

if TYPE_CHECKING:
    from darkroom.documents import Document

app = typer.Typer(no_args_is_help=True, help="Run many steps as one: see docs/pipelines.md.")

_STYLES = {"running": "yellow", "succeeded": "green", "failed": "red", "cancelled": "magenta", "skipped": "dim"}
_BAR = 24
_LATEST = 20

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A document, JSON or YAML.", exists=True, dir_okay=False)
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The pipeline's id.")]


@command(app, examples=("darkroom pipelines validate poster.json",))
def validate(session: Session, file: File) -> None:
    """Check a document: every fault with its path."""
    with PipelineClient(session.access) as client:
        found = client.validate(_load(file))
    if session.json:
        session.give_json(found)
    else:
        session.say(f"[green]{file} is valid:[/] {len(found['steps'])} steps")


@command(
    app, examples=("darkroom pipelines graph poster.json", "darkroom pipelines graph poster.json -o poster.svg")
)
def graph(
    session: Session,
    file: File,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a picture here: .svg, .png or .mmd."),
    ] = None,
) -> None:
    """Draw a document's graph: as Mermaid to stdout, or as a picture into a file. Needs no Darkroom."""
    from darkroom_cli.drawings import to_mermaid, to_png, to_svg

    document = _read(file)
    if output is None:
        session.give_lines(to_mermaid(document).splitlines())
        return
    match output.suffix.lower():
        case ".svg":
            output.write_text(to_svg(document))
        case ".png":
            try:
                output.write_bytes(to_png(document))
            except ImportError:
                raise UsageError("a PNG needs Pillow", hint="pip install pillow, or write an SVG.") from None
        case ".mmd":
            output.write_text(to_mermaid(document))
        case suffix:
            raise UsageError(f"{suffix or 'no suffix'} is no kind of picture", hint="Use .svg, .png or .mmd.")
    session.say(f"{output} is written")


@command(
    app,
    examples=(
        "darkroom pipelines run poster.json -i prompt='a ship' --watch",
        "darkroom pipelines run --name poster -i prompt='a ship'",
    ),
)
def run(
    session: Session,
    *,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A document, JSON or YAML.")] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", metavar="NAME[@VERSION]", help="A saved one.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="May be repeated.")
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", metavar="ID", help="What to call this run.")] = None,
    follow: Annotated[bool, typer.Option("--watch", "-w", help="Watch it to its end.")] = False,
) -> None:
    """Run a document, or a saved one."""
    body = _body(file, name, dict(map(_input, inputs or ())))
    with PipelineClient(session.access) as client:
        pipeline = client.submit(body | ({"id": id_} if id_ else {}))
        if follow:
            pipeline = _follow(session, client, pipeline["id"])
    if session.json:
        session.give_json(pipeline)
    else:
        session.give_lines([pipeline["id"]])
    if pipeline["status"] in ENDED - {"succeeded"}:
        raise typer.Exit(ExitCode.TASK_FAILED)


@command(app, "list", examples=("darkroom pipelines list",))
def list_pipelines(
    session: Session, *, limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100)] = _LATEST
) -> None:
    """List pipelines, newest first."""
    with PipelineClient(session.access) as client:
        found = client.page(limit)
    if session.json:
        session.give_json({"items": found})
        return
    table = Table("id", "name", "status", "created", box=None, padding=(0, 2, 0, 0))
    for it in found:
        table.add_row(it["id"], it["name"], Text(it["status"], _STYLES.get(it["status"], "")), it["created_at"])
    session.out.print(table)


@command(app, examples=("darkroom pipelines show 01JD…",))
def show(session: Session, id_: Id) -> None:
    """Show a pipeline and its steps."""
    with PipelineClient(session.access) as client:
        pipeline = client.get(id_)
    session.give(pipeline, lambda: tree(pipeline))


@command(app, examples=("darkroom pipelines watch 01JD…",))
def watch(session: Session, id_: Id) -> None:
    """Watch a pipeline to its end: a live tree with a bar for each step."""
    with PipelineClient(session.access) as client:
        pipeline = _follow(session, client, id_)
    if session.json:
        session.give_json(pipeline)
    if pipeline["status"] != "succeeded":
        raise typer.Exit(ExitCode.TASK_FAILED)


@command(app, examples=("darkroom pipelines cancel 01JD…",))
def cancel(session: Session, id_: Id) -> None:
    """Cancel a pipeline and its tasks."""
    with PipelineClient(session.access) as client:
        pipeline = client.cancel(id_)
    session.give(pipeline, lambda: tree(pipeline))


@command(app, examples=("darkroom pipelines retry 01JD…",))
def retry(session: Session, id_: Id) -> None:
    """Run a pipeline again from its failed step on; results so far are kept."""
    with PipelineClient(session.access) as client:
        pipeline = client.retry(id_)
    session.give(pipeline, lambda: tree(pipeline))


@command(app, examples=("darkroom pipelines save poster poster.json",))
def save(session: Session, name: Annotated[str, typer.Argument(metavar="NAME")], file: File) -> None:
    """Save a document as the next version of a name."""
    with PipelineClient(session.access) as client:
        saved = client.save(name, _load(file))
    if session.json:
        session.give_json(saved)
    else:
        session.give_lines([f"{saved['name']}@{saved['version']}"])


def tree(pipeline: JsonObject) -> Tree:
    """A pipeline as a tree of its steps, each below the last step that it waits for."""
    status = pipeline["status"]
    root = Tree(
        Text.assemble((pipeline["id"], "bold"), f"  {pipeline['name']}  ", (status, _STYLES.get(status, "")))
    )
    branches: dict[str, Tree] = {}
    for step in pipeline["steps"]:
        parent = branches[step["needs"][-1]] if step["needs"] else root
        branches[step["id"]] = parent.add(_row(step))
    if pipeline.get("error"):
        root.add(Text(f"{pipeline['error']['type']}: {pipeline['error']['message']}", "red"))
    return root


def _row(step: JsonObject) -> Table:
    row = Table.grid(padding=(0, 2, 0, 0))
    status = step["status"]
    count = f"{step['done']}/{step['items']}" if step["items"] != 1 else ""
    bar = ProgressBar(total=1, completed=step["progress"] or 0, width=_BAR)
    row.add_row(step["id"], Text(status, _STYLES.get(status, "dim")), bar, count, Text(step["runtime"], "dim"))
    return row


def _follow(session: Session, client: PipelineClient, id_: str) -> JsonObject:
    pipeline: JsonObject = {}
    if not session.err.is_terminal or session.json:
        told = _Lines(session)
        for pipeline in client.watch(id_):
            told.update(pipeline)
        return pipeline
    with Live(console=session.err, refresh_per_second=4) as live:
        for pipeline in client.watch(id_):
            live.update(tree(pipeline))
    return pipeline


class _Lines:
    """A line for each change, where there is no terminal to draw on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._told: dict[str, str] = {}

    def update(self, pipeline: JsonObject) -> None:
        """Tell what has changed."""
        for name, status in [*((it["id"], it["status"]) for it in pipeline["steps"]), ("", pipeline["status"])]:
            if self._told.get(name, "waiting") != status:
                self._session.say(f"{pipeline['id']} {name} {status}".replace("  ", " "))
            self._told[name] = status


def _load(file: Path) -> JsonObject:
    """A document from a file; JSON is YAML, too."""
    import yaml

    try:
        found = json.loads(file.read_text()) if file.suffix == ".json" else yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{file}: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{file} holds no object")
    return found


def _read(file: Path) -> "Document":
    """A document whose form is right, and which can be drawn: without cycles."""
    from darkroom.conditions import Condition, ConditionError
    from darkroom.documents import read_document
    from darkroom.errors import InvalidRequestError
    from darkroom.graphs import cycles, needs_of

    try:
        document = read_document(_load(file))
        for step in document.steps:
            Condition.parse(step.when or "1")
    except (InvalidRequestError, ConditionError) as error:
        fields = getattr(error, "fields", ())
        raise UsageError("; ".join(f"{it.field}: {it.message}" for it in fields) or str(error)) from error
    if found := cycles(document):
        raise UsageError(f"steps wait for each other: {' → '.join(found[0])}")
    unknown = {name for step in document.steps for name in needs_of(step)} - {step.id for step in document.steps}
    if unknown:
        raise UsageError(f"there is no step {', '.join(sorted(unknown))}")
    return document


def _body(file: Path | None, name: str | None, inputs: JsonObject) -> JsonObject:
    if (file is None) == (name is None):
        raise UsageError("name either a file or a saved pipeline (--name)")
    if name is not None:
        saved, _, version = name.partition("@")
        return {"definition": saved, "inputs": inputs} | ({"version": int(version)} if version.isdecimal() else {})
    document = _load(file) if file is not None else {}
    declared = document.get("inputs", {})
    for key, value in inputs.items():
        known = declared.get(key)
        typed = isinstance(known, dict) and "type" in known
        declared[key] = {**known, "default": value} if typed else value
    return document | ({"inputs": declared} if declared else {})


def _input(text: str) -> tuple[str, Any]:
    """`name=value`; a value that is JSON is what it says, any other is text."""
    name, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"{text!r} is no NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
