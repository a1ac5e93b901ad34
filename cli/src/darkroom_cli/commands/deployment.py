"""`darkroom deploy`, `destroy`, `status`, and `config validate`: their options.

`darkroom_cli.deploy.application` carries them out, and is loaded when one is run.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The configuration.", dir_okay=False)]
StackName = Annotated[str | None, typer.Option("--stack-name", "-n", help="The deployment's name (sdoneks).")]
Region = Annotated[str | None, typer.Option("--region", "-R", help="Its region; else that of the AWS profile.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-d", help="Write the configuration and print the commands; run none of them.")
]
_CONFIG = Path("config.yaml")


def add_to(app: typer.Typer, config: typer.Typer) -> None:
    """Add the commands."""
    command(
        app,
        examples=(
            "darkroom deploy",
            "darkroom deploy -b my-models -s snap-0123456789 --dry-run",
            "darkroom deploy -t comfyui -r comfy -R us-west-2",
            "darkroom deploy --dry-run > deploy.sh",
        ),
    )(deploy)
    command(app, examples=("darkroom destroy", "darkroom destroy --runtime-name comfy"))(destroy)
    command(app, examples=("darkroom status", "darkroom status --json | jq .runtimes"))(status)
    command(config, examples=("darkroom config validate config.yaml",))(validate)


def deploy(
    session: Session,
    *,
    stack_name: StackName = None,
    region: Region = None,
    dry_run: DryRun = False,
    bucket: Annotated[
        str | None, typer.Option("--bucket", "-b", help="A bucket of models that is there; else one is made.")
    ] = None,
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", "-s", help="A snapshot with the images; else one is made.")
    ] = None,
    runtime_name: Annotated[
        str | None, typer.Option("--runtime-name", "-r", help="The runtime's name (sdruntime).")
    ] = None,
    runtime_type: Annotated[
        Literal["sdwebui", "comfyui", "http"] | None,
        typer.Option("--runtime-type", "-t", help="Its type (sdwebui)."),
    ] = None,
    skip_tools: Annotated[bool, typer.Option("--skip-tools", "-T", help="Do not check the tools.")] = False,
    config: ConfigFile = _CONFIG,
) -> None:
    """Deploy everything, or bring it up to date: bucket, cluster, snapshot, control plane, runtimes.

    Without a config.yaml one is written, for one runtime, from the options. It is safe to repeat, and goes on where
    it failed.
    """
    from darkroom_cli.deploy import application
    from darkroom_cli.deploy.generation import Options

    options = Options(stack_name, bucket, snapshot, runtime_name, runtime_type)
    wanted = application.Wanted(stack_name, region, config)
    application.deploy(session, wanted, options, dry_run=dry_run, skip_tools=skip_tools)


def destroy(
    session: Session,
    *,
    stack_name: StackName = None,
    region: Region = None,
    dry_run: DryRun = False,
    runtime_name: Annotated[
        str | None, typer.Option("--runtime-name", "-r", help="Remove this runtime only, and keep the rest.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigFile = _CONFIG,
) -> None:
    """Remove a deployment for good. The buckets of images and models stay."""
    from darkroom_cli.deploy import application

    wanted = application.Wanted(stack_name, region, config)
    application.destroy(session, wanted, runtime_name, dry_run=dry_run, ask=not yes)


def status(
    session: Session, *, stack_name: StackName = None, region: Region = None, config: ConfigFile = _CONFIG
) -> None:
    """Show what of a deployment there is, and how its stacks and queues fare."""
    from darkroom_cli.deploy import application

    application.show_status(session, application.Wanted(stack_name, region, config))


def validate(session: Session, file: Annotated[Path, typer.Argument(metavar="FILE")] = _CONFIG) -> None:
    """Check a config.yaml: every key, every value, and what goes together."""
    from darkroom_cli.deploy import application

    application.validate(session, file)
