"""`darkroom pipelines …`: many steps, several runtimes, one execution."""

from pathlib import Path
from typing import Annotated

import typer

from darkroom_cli.commands.pipeline_views import follow, pipeline_table, tree
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import UsageError
from darkroom_cli.exits import ExitCode
from darkroom_cli.pipelines import ENDED, PipelineClient

app = typer.Typer(no_args_is_help=True, help="Run many steps as one: see docs/pipelines.md.")

_LATEST = 20

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A document, JSON or YAML.", exists=True, dir_okay=False)
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The pipeline's id.")]


@command(app, examples=("darkroom pipelines validate poster.json",))
def validate(session: Session, file: File) -> None:
    """Check a document: every fault with its path."""
    from darkroom_cli.pipeline_documents import load

    with PipelineClient(session.access) as client:
        found = client.validate(load(file))
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
    from darkroom_cli.pipeline_documents import read

    document = read(file)
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
    watched: Annotated[bool, typer.Option("--watch", "-w", help="Watch it to its end.")] = False,
) -> None:
    """Run a document, or a saved one."""
    from darkroom_cli.pipeline_documents import body_of

    body = body_of(file, name, inputs or ())
    with PipelineClient(session.access) as client:
        pipeline = client.submit(body | ({"id": id_} if id_ else {}))
        if watched:
            pipeline = follow(session, client.watch(pipeline["id"]))
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
    session.out.print(pipeline_table(found))


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
        pipeline = follow(session, client.watch(id_))
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
    from darkroom_cli.pipeline_documents import load

    with PipelineClient(session.access) as client:
        saved = client.save(name, load(file))
    if session.json:
        session.give_json(saved)
    else:
        session.give_lines([f"{saved['name']}@{saved['version']}"])
