"""`darkroom verify` and `darkroom upload-model`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from darkroom_cli.access import Access
from darkroom_cli.commands.deployment import ConfigFile, Region, StackName
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import UsageError
from darkroom_cli.exits import ExitCode

if TYPE_CHECKING:
    from darkroom_cli.deploy.verification import Outcome

_CONFIG = Path("config.yaml")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(
        app,
        examples=(
            "darkroom verify",
            "darkroom verify --stack-name sdoneks --runtime-name comfy",
            "darkroom verify --profile local",
            "darkroom verify --runtime-name flips --task flip.json",
        ),
    )(verify)
    command(
        app,
        "upload-model",
        examples=(
            "darkroom upload-model v1-5-pruned-emaonly.safetensors",
            "darkroom upload-model detail.safetensors --folder Lora -b my-models",
        ),
    )(upload_model)


def verify(
    session: Session,
    *,
    stack_name: StackName = None,
    region: Region = None,
    runtime_name: Annotated[
        str | None,
        typer.Option("--runtime-name", "-r", help="The runtime to ask: else config.yaml's first, sdruntime."),
    ] = None,
    runtime_type: Annotated[
        Literal["sdwebui", "comfyui"] | None,
        typer.Option("--runtime-type", "-t", help="Whose requests to send: else those of its own type."),
    ] = None,
    image: Annotated[str | None, typer.Option(help="A link to the picture to work on.")] = None,
    task: Annotated[
        Path | None,
        typer.Option(
            help="A task to send in place of the test requests, JSON: type and content.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for each image; a first node takes minutes.")
    ] = 900,
    config: ConfigFile = _CONFIG,
) -> None:
    """Check a deployment: find its API and key, send test requests, wait for the images.

    SD WebUI gets text to image, image to image and upscaling, ComfyUI a pipeline, a runtime of your own what --task
    holds. Ends with code 1 if an image is missing. The Darkroom is that of --profile where one is named, else the
    stack of --stack-name or config.yaml.
    """
    from darkroom_cli.client import Client
    from darkroom_cli.deploy.documents import read_config
    from darkroom_cli.deploy.verification import Verification, choose_runtime, own_probe, probes

    if runtime_name is None and config.exists():
        runtime_name = read_config(config).models_runtime[0].name
    access = _find(session, stack_name, region, config)
    with Client(access.url, access.api_key) as client:
        runtime = choose_runtime(client, runtime_name)
    kind = runtime_type or runtime.type
    session.say(f"API {access.url}, runtime {runtime.name} ({kind})")
    wanted = (own_probe(task),) if task else probes(kind, runtime, image)
    outcomes = list(Verification(access, runtime.name, timeout).run(wanted))
    if session.json:
        session.give_json({"outcomes": [_plain(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            mark = "[green]✓[/]" if outcome.ok else "[red]✗[/]"
            session.out.print(f"{mark} {outcome.probe.title}", end=" ")
            session.out.print(f"{outcome.detail} ({outcome.seconds:.1f} s)", markup=False, soft_wrap=True)
    if not all(outcome.ok for outcome in outcomes):
        raise typer.Exit(ExitCode.FAILURE)


def upload_model(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, dir_okay=False)],
    *,
    folder: Annotated[str, typer.Option("--folder", "-f", help="The bucket's folder.")] = "Stable-diffusion",
    bucket: Annotated[
        str | None, typer.Option("--bucket", "-b", help="The bucket; else that of config.yaml.")
    ] = None,
    region: Region = None,
    config: ConfigFile = _CONFIG,
) -> None:
    """Upload models into the bucket, into the guide's folders. What is there already is not uploaded again."""
    from darkroom_cli.deploy.documents import read_config
    from darkroom_cli.deploy.uploads import model_key, upload
    from darkroom_cli.deploy.workplace import Workplace

    keys = [(path, model_key(path, folder)) for path in files]
    if bucket is None:
        if not config.exists():
            raise UsageError("It is not known which bucket to take.", hint="Say --bucket, or name a config.yaml.")
        bucket = read_config(config).bucket
    from darkroom_cli.stacks import explained_aws

    with explained_aws():
        s3 = Workplace.aws_of(region).client("s3")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=session.err, disable=not session.err.is_terminal) as bar, explained_aws():
        for path, key in keys:
            row = bar.add_task(path.name, total=path.stat().st_size)
            done = upload(s3, path, bucket, key, partial(bar.advance, row))
            session.give_lines([f"s3://{bucket}/{key}" + ("" if done else " (was there)")])


def _find(session: Session, stack_name: str | None, region: str | None, config: Path) -> Access:
    from darkroom_cli.deploy.documents import read_config
    from darkroom_cli.deploy.workplace import Workplace

    if session.profile is not None:
        return session.access
    if stack_name is None and config.exists():
        stack_name = read_config(config).stack_name
    if stack_name is None and region is None:
        return session.access  # the profile in use, or the local cloud
    from darkroom_cli.stacks import find_stack

    name = stack_name or "sdoneks"
    stack = name if name.endswith("Stack") else f"{name}Stack"
    return find_stack(Workplace.aws_of(region, stack))


def _plain(outcome: "Outcome") -> dict[str, object]:
    return {
        "title": outcome.probe.title,
        "ok": outcome.ok,
        "detail": outcome.detail,
        "images": list(outcome.images),
        "seconds": outcome.seconds,
    }
