"""`darkroom deploy`, `destroy`, `status`, and `config validate`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.deploy.checks import TOOLS, AccountChecks, Check, check_tools
from darkroom_cli.deploy.commands import Step, write_script
from darkroom_cli.deploy.components import read_components
from darkroom_cli.deploy.documents import read_config
from darkroom_cli.deploy.generation import Options
from darkroom_cli.deploy.images import wants_agent
from darkroom_cli.deploy.inventory import Inventory
from darkroom_cli.deploy.plans import Deployment
from darkroom_cli.deploy.removal import KEPT, REMOVED, Removal
from darkroom_cli.deploy.runner import Runner
from darkroom_cli.deploy.workplace import Workplace
from darkroom_cli.errors import AwsError, ConfigurationError, UsageError
from darkroom_cli.stacks import explained_aws

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The configuration.", dir_okay=False)]
StackName = Annotated[str | None, typer.Option("--stack-name", "-n", help="The deployment's name (sdoneks).")]
Region = Annotated[str | None, typer.Option("--region", "-R", help="Its region; else that of the AWS profile.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", "-d", help="Write the configuration and print the commands; run none of them.")
]
_CONFIG = Path("config.yaml")
_COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


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
        Literal["sdwebui", "comfyui"] | None, typer.Option("--runtime-type", "-t", help="Its type (sdwebui).")
    ] = None,
    skip_tools: Annotated[bool, typer.Option("--skip-tools", "-T", help="Do not check the tools.")] = False,
    config: ConfigFile = _CONFIG,
) -> None:
    """Deploy everything, or bring it up to date: bucket, cluster, snapshot, control plane, runtimes.

    Without a config.yaml one is written, for one runtime, from the options. It is safe to repeat, and goes on where
    it failed.
    """
    work = Workplace.find(region, config)
    options = Options(stack_name, bucket, snapshot, runtime_name, runtime_type)
    known = _identify(session, work, needed=not dry_run)
    if not config.exists():
        work.write_new(options)
        options = Options()
        session.say(f"wrote {config}")
    deployment = work.deployment(work.read(options))
    tools = [tool for tool in TOOLS if tool != "docker" or any(map(wants_agent, deployment.config.models_runtime))]
    checks = [] if skip_tools else list(check_tools(tools))
    if known:
        checks += AccountChecks(deployment.config, deployment.names, work.aws().client).run()
    _report(session, checks)
    if dry_run:
        _print(session, deployment.steps())
        return
    if any(check.state == "missing" for check in checks):
        raise ConfigurationError("Something is missing.", hint="Mend what is marked, and run the same again.")
    Runner(session.err).run(deployment.steps())
    _finish(session, work, deployment)


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
    work = Workplace.find(region, config)
    if stack_name is None and config.exists():
        stack_name = read_config(config).stack_name
    names = work.names(stack_name)
    work.account()
    with explained_aws():
        found = list(Inventory(names, work.aws().client).runtimes())
    chosen = [runtime for runtime in found if runtime_name in {None, runtime.name}]
    if runtime_name and not chosen:
        raise UsageError(f"There is no runtime {runtime_name} in {names.control_plane}.")
    components = read_components(work.source / "charts")
    removal = Removal(names, components, [(runtime.name, runtime.namespace) for runtime in chosen])
    steps = list(removal.runtime_steps() if runtime_name else removal.steps())
    if dry_run:
        _print(session, steps)
        return
    for runtime in chosen:
        if runtime.waiting or runtime.at_work:
            session.say(
                f"[yellow]![/] {runtime.name} has {runtime.waiting} tasks waiting and {runtime.at_work} at work"
            )
    if not runtime_name:
        session.say("Removed for good: " + ", ".join(REMOVED) + ".\nKept: " + ", ".join(KEPT) + ".")
    what = f"the runtime {runtime_name}" if runtime_name else names.control_plane
    if (
        not yes
        and typer.prompt(f"Type {names.deployment} to remove {what} in {names.region}", err=True)
        != names.deployment
    ):
        raise UsageError("Nothing was removed.")
    Runner(session.err).run(steps)


def status(
    session: Session, *, stack_name: StackName = None, region: Region = None, config: ConfigFile = _CONFIG
) -> None:
    """Show what of a deployment there is, and how its stacks and queues fare."""
    work = Workplace.find(region, config)
    if stack_name is None and config.exists():
        stack_name = read_config(config).stack_name
    inventory = Inventory(work.names(stack_name), work.aws().client)
    with explained_aws():
        stacks, runtimes = inventory.stacks(), list(inventory.runtimes())
        if session.json:
            session.give_json(inventory.as_json())
            return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("stack", "state", "waiting", "at work"):
        table.add_column(heading)
    for stack in stacks:
        table.add_row(stack.name, f"[{'green' if stack.ok else 'red'}]{stack.status}[/]", "", "")
    for runtime in runtimes:
        state = f"[{'green' if runtime.stack.ok else 'red'}]{runtime.stack.status}[/]"
        table.add_row(runtime.stack.name, state, _number(runtime.waiting), _number(runtime.at_work))
    session.out.print(table)


def validate(session: Session, file: Annotated[Path, typer.Argument(metavar="FILE")] = _CONFIG) -> None:
    """Check a config.yaml: every key, every value, and what goes together."""
    config = read_config(file)
    if session.json:
        session.give_json(config.model_dump(mode="json", by_alias=True, exclude_unset=True))
        return
    for placeholder in config.placeholders:
        session.say(f"[yellow]![/] {placeholder} waits for your own value")
    names = ", ".join(runtime.name for runtime in config.models_runtime)
    session.give_lines([f"{file} is right: {config.stack_name} with {names}"])


def _identify(session: Session, work: Workplace, *, needed: bool) -> bool:
    """Whether there are credentials; a dry run goes on without."""
    try:
        session.say(f"account {work.account()}, region {work.region}")
    except AwsError as error:
        if needed:
            raise
        session.say(f"[yellow]![/] the account is not checked: {error}")
        return False
    return True


def _report(session: Session, checks: Iterable[Check]) -> None:
    for check in checks:
        mark = {"ok": "✓", "warning": "!", "missing": "✗"}[check.state]
        remedy = f": {check.remedy}" if check.remedy else ""
        session.err.print(f"[{_COLOURS[check.state]}]{mark}[/] ", end="")
        session.err.print(check.what + remedy, markup=False, soft_wrap=True)


def _print(session: Session, steps: Iterable[Step]) -> None:
    if session.json:
        session.give_json({"steps": [{"title": step.title, "lines": list(step.lines())} for step in steps]})
    else:
        session.give_lines([write_script(steps).rstrip()])


def _finish(session: Session, work: Workplace, deployment: Deployment) -> None:
    """Tell the outputs, as the guide shows them, and what to do next."""
    names = deployment.names
    with explained_aws():
        client = work.aws().client("cloudformation")
        for stack, keys in (
            (names.control_plane, ("GetAPIKeyCommand", "FrontApiEndpoint")),
            (names.cluster_stack, ("ConfigCommand",)),
        ):
            outputs = client.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
            told = {output["OutputKey"]: output["OutputValue"] for output in outputs}
            session.give_lines([f"{names.control_plane}.{key} = {told[key]}" for key in keys if key in told])
    session.say("Check it: darkroom verify")


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
