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
            "darkroom verify --stack-name sdoneks --runtime-type comfyui",
            "darkroom verify --profile local",
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
        str | None, typer.Option("--runtime-name", "-r", help="The runtime to ask (sdruntime).")
    ] = None,
    runtime_type: Annotated[
        Literal["sdwebui", "comfyui"] | None, typer.Option("--runtime-type", "-t", help="Its type (sdwebui).")
    ] = None,
    image: Annotated[str | None, typer.Option(help="A link to the picture to work on.")] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for each image; a first node takes minutes.")
    ] = 900,
    config: ConfigFile = _CONFIG,
) -> None:
    """Check a deployment: find its API and key, send test requests, wait for the images.

    SD WebUI gets text to image, image to image and upscaling, ComfyUI a pipeline. Ends with code 1 if an image is
    missing. The Darkroom is that of --profile where one is named, else the stack of --stack-name or config.yaml.
    """
    from darkroom_cli.deploy.config import DEFAULT_MODEL
    from darkroom_cli.deploy.documents import read_config
    from darkroom_cli.deploy.verification import Verification, probes

    name, kind, model = runtime_name or "sdruntime", runtime_type or "sdwebui", DEFAULT_MODEL
    if config.exists():
        runtimes = read_config(config).models_runtime
        chosen = next((it for it in runtimes if it.name == runtime_name), runtimes[0])
        name = runtime_name or chosen.name
        kind, model = runtime_type or chosen.type, chosen.model or DEFAULT_MODEL
    access = _find(session, stack_name, region, config)
    session.say(f"API {access.url}, runtime {name} ({kind})")
    outcomes = list(Verification(access, name, timeout).run(probes(kind, model, image)))
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
