"""`darkroom batches …`: up to 100,000 tasks, or runs of a pipeline, from one file."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.models import JsonObject
from darkroom_cli.commands.batch_views import BatchProgress, batch_sheet, batch_table
from darkroom_cli.commands.progress import upload_bar
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import UsageError
from darkroom_cli.exits import ExitCode

if TYPE_CHECKING:
    from darkroom_cli.batches import Batch, BatchSubmission

app = typer.Typer(no_args_is_help=True, help="Run thousands of tasks from one file: see docs/batches.md.")

_LATEST = 20

Id = Annotated[str, typer.Argument(metavar="ID", help="The batch's id.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the results here, as JSON Lines, at its end."),
]


@command(
    app,
    examples=(
        "darkroom batches submit prompts.csv --runtime sdruntime --type text-to-image --watch -o results.jsonl",
        "darkroom batches submit inputs.jsonl --pipeline poster@2",
    ),
)
def submit(
    session: Session,
    manifest: Annotated[
        str, typer.Argument(metavar="MANIFEST", help="A CSV or JSON Lines file, or an s3:// link to one.")
    ],
    *,
    runtime: Annotated[str | None, typer.Option("--runtime", "-r", help="Of rows that name none.")] = None,
    type_: Annotated[str | None, typer.Option("--type", "-t", help="Of rows that name none.")] = None,
    content: Annotated[
        str | None, typer.Option("--content", "-c", metavar="JSON|FILE", help="What rows' contents build on.")
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option("--pipeline", "-p", metavar="NAME|FILE", help="Rows are inputs of this pipeline."),
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", metavar="ID", help="What to call the batch.")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, max=1000, help="How many rows at once; 100 by itself.")
    ] = None,
    tolerate: Annotated[
        float | None,
        typer.Option("--tolerate", min=0, max=100, help="Stop once more than so many percent have failed."),
    ] = None,
    prefix: Annotated[str | None, typer.Option("--prefix", help="The folder of results and images.")] = None,
    watched: Annotated[bool, typer.Option("--watch", "-w", help="Watch it to its end.")] = False,
    output: Output = None,
) -> None:
    """Submit a batch; a manifest on this machine is uploaded."""
    asked: BatchSubmission = {}
    defaults = {"runtime": runtime, "type": type_, "content": None if content is None else _json(content)}
    if given := {name: value for name, value in defaults.items() if value is not None}:
        asked["defaults"] = given
    if pipeline is not None:
        asked["pipeline"] = _pipeline(pipeline)
    if id_ is not None:
        asked["id"] = id_
    if concurrency is not None:
        asked["max_concurrency"] = concurrency
    if tolerate is not None:
        asked["tolerated_failure_percentage"] = tolerate
    if prefix is not None:
        asked["prefix"] = prefix
    with session.client() as client:
        if manifest.startswith("s3://"):
            batch = client.batches.submit(manifest, **asked)
        else:
            with upload_bar(session, Path(manifest)) as bar:
                batch = client.batches.submit(Path(manifest), progress=bar, **asked)
    if watched or output is not None:
        _follow(session, batch.id, output)
    elif session.json:
        session.give_json(batch)
    else:
        session.give_lines([batch.id])


@command(app, "list", examples=("darkroom batches list",))
def list_batches(
    session: Session, *, limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = _LATEST
) -> None:
    """List batches, newest first."""
    with session.client() as client:
        found = list(client.batches.list(limit=limit))
    session.give(found, lambda: batch_table(found))


@command(app, examples=("darkroom batches show 01JD…",))
def show(session: Session, id_: Id) -> None:
    """Show a batch: its progress, and the first rows that failed."""
    with session.client() as client:
        batch = client.batches.get(id_)
    session.give(batch, lambda: batch_sheet(batch))


@command(app, examples=("darkroom batches watch 01JD…", "darkroom batches watch 01JD… -o results.jsonl"))
def watch(session: Session, id_: Id, *, output: Output = None) -> None:
    """Watch a batch to its end: a bar, and what failed."""
    _follow(session, id_, output)


@command(
    app,
    examples=("darkroom batches results 01JD… | jq -r '.images[]'", "darkroom batches results 01JD… --failures"),
)
def results(
    session: Session,
    id_: Id,
    *,
    failures: Annotated[bool, typer.Option("--failures", help="Only the rows that failed.")] = False,
    output: Output = None,
) -> None:
    """Print a batch's results, a line of JSON for each row, or write them into a file."""
    with session.client() as client:
        if output is not None:
            session.say(f"{client.batches.download(id_, output, failures=failures)} is written")
            return
        with tempfile.TemporaryDirectory() as folder:
            file = client.batches.download(id_, Path(folder) / "results.jsonl", failures=failures)
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    session.give_lines([line.rstrip("\n")])


@command(app, examples=("darkroom batches cancel 01JD…",))
def cancel(session: Session, id_: Id) -> None:
    """Cancel a batch and what it has running."""
    with session.client() as client:
        batch = client.batches.cancel(id_)
    session.give(batch, lambda: batch_sheet(batch))


@command(app, examples=("darkroom batches retry 01JD… --watch",))
def retry(
    session: Session,
    id_: Id,
    *,
    watched: Annotated[bool, typer.Option("--watch", "-w", help="Watch it to its end.")] = False,
) -> None:
    """Run the rows of a batch that have not succeeded."""
    with session.client() as client:
        batch = client.batches.retry(id_)
    if watched:
        _follow(session, batch.id, None)
    else:
        session.give(batch, lambda: batch_sheet(batch))


def _follow(session: Session, id_: str, output: Path | None) -> None:
    """Show a batch to its end, and end as it did."""
    batch: Batch | None = None
    with session.client() as client, BatchProgress(session) as shown:
        for batch in client.batches.watch(id_):
            shown.show(batch)
        if output is not None and batch is not None and batch.results is not None:
            client.batches.download(batch, output)
    if batch is None:
        return
    if output is not None and batch.results is not None:
        session.say(f"{output} is written")
    session.give(batch, lambda: batch_sheet(batch))
    if not batch.succeeded:
        raise typer.Exit(ExitCode.TASK_FAILED)


def _json(text: str) -> JsonObject:
    """JSON, or a file of it."""
    try:
        found = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{text}: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{text} holds no object")
    return found


def _pipeline(text: str) -> str | JsonObject:
    """A saved pipeline's name, or a document from a file."""
    if not Path(text).is_file():
        return text
    from darkroom_cli.pipeline_documents import load

    return load(Path(text))
