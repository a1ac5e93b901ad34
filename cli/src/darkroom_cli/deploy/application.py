"""What `darkroom deploy`, `destroy`, `status` and `config validate` do."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.table import Table

from darkroom_cli.commands.sessions import Session
from darkroom_cli.deploy.checks import TOOLS, AccountChecks, check_tools
from darkroom_cli.deploy.commands import Step, write_script
from darkroom_cli.deploy.components import read_components
from darkroom_cli.deploy.documents import read_config
from darkroom_cli.deploy.findings import Check
from darkroom_cli.deploy.generation import Options
from darkroom_cli.deploy.images import wants_agent
from darkroom_cli.deploy.inventory import Inventory
from darkroom_cli.deploy.names import Names
from darkroom_cli.deploy.plans import Deployment
from darkroom_cli.deploy.removal import KEPT, REMOVED, Removal
from darkroom_cli.deploy.runner import Runner
from darkroom_cli.deploy.template_parameters import check_parameters
from darkroom_cli.deploy.workplace import Workplace, find_source
from darkroom_cli.errors import AwsError, ConfigurationError, UsageError
from darkroom_cli.stacks import explained_aws

_COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


@dataclass(frozen=True)
class Wanted:
    """Which deployment is meant: that of a name, else that of the configuration, else the default."""

    stack_name: str | None
    region: str | None
    config: Path

    def find(self) -> tuple[Workplace, Names]:
        """The workplace, and the deployment's names."""
        work = Workplace.find(self.region, self.config)
        name = self.stack_name
        if name is None and self.config.exists():
            name = read_config(self.config).stack_name
        return work, work.names(name)


def deploy(session: Session, wanted: Wanted, options: Options, *, dry_run: bool, skip_tools: bool) -> None:
    """Deploy, or print how."""
    work = Workplace.find(wanted.region, wanted.config)
    account = _identify(session, work, needed=not dry_run)
    if not wanted.config.exists():
        work.write_new(options)
        options = Options()
        session.say(f"wrote {wanted.config}")
    deployment = work.deployment(work.read(options))
    tools = [tool for tool in TOOLS if tool != "docker" or any(map(wants_agent, deployment.config.models_runtime))]
    checks = [] if skip_tools else list(check_tools(tools))
    if account:
        checks += AccountChecks(deployment.config, deployment.names, work.aws().client).run()
    _report(session, checks)
    if dry_run:
        _print(session, deployment.steps(), f"Deploys {_place(deployment.names, account)}")
        return
    if any(check.state == "missing" for check in checks):
        raise ConfigurationError("Something is missing.", hint="Mend what is marked, and run the same again.")
    Runner(session.err).run(deployment.steps())
    _finish(session, work, deployment)


def destroy(session: Session, wanted: Wanted, runtime_name: str | None, *, dry_run: bool, ask: bool) -> None:
    """Remove a deployment, or one of its runtimes, or print how."""
    work, names = wanted.find()
    account = work.account()
    with explained_aws():
        found = list(Inventory(names, work.aws().client).runtimes())
    chosen = [runtime for runtime in found if runtime_name in {None, runtime.name}]
    if runtime_name and not chosen:
        raise UsageError(f"There is no runtime {runtime_name} in {names.control_plane}.")
    components = read_components(work.source / "charts")
    removal = Removal(names, components, [(runtime.name, runtime.namespace) for runtime in chosen])
    steps = list(removal.runtime_steps() if runtime_name else removal.steps())
    what = f"the runtime {runtime_name}" if runtime_name else names.control_plane
    if dry_run:
        _print(session, steps, f"Removes {'a runtime of ' * bool(runtime_name)}{_place(names, account)}")
        return
    for runtime in chosen:
        if runtime.waiting or runtime.at_work:
            session.say(
                f"[yellow]![/] {runtime.name} has {runtime.waiting} tasks waiting and {runtime.at_work} at work"
            )
    if not runtime_name:
        session.say("Removed for good: " + ", ".join(REMOVED) + ".\nKept: " + ", ".join(KEPT) + ".")
    if (
        ask
        and typer.prompt(f"Type {names.deployment} to remove {what} in {names.region}", err=True)
        != names.deployment
    ):
        raise UsageError("Nothing was removed.")
    Runner(session.err).run(steps)


def show_status(session: Session, wanted: Wanted) -> None:
    """Show stacks and runtimes."""
    work, names = wanted.find()
    inventory = Inventory(names, work.aws().client)
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


def validate(session: Session, file: Path) -> None:
    """Check a configuration."""
    config, source = read_config(file), find_source()
    if source is not None:
        check_parameters(config, source)
    if session.json:
        session.give_json(config.model_dump(mode="json", by_alias=True, exclude_unset=True))
        return
    for placeholder in config.placeholders:
        session.say(f"[yellow]![/] {placeholder} waits for your own value")
    names = ", ".join(runtime.name for runtime in config.models_runtime)
    session.give_lines([f"{file} is right: {config.stack_name} with {names}"])


def _identify(session: Session, work: Workplace, *, needed: bool) -> str:
    """The account; empty where there are no credentials, without which a dry run goes on."""
    try:
        account = work.account()
    except AwsError as error:
        if needed:
            raise
        session.say(f"[yellow]![/] the account is not checked: {error}")
        return ""
    session.say(f"account {account}, region {work.region}")
    return account


def _place(names: Names, account: str) -> str:
    return f"{names.control_plane} in {names.region}, account {account or 'not known'}"


def _report(session: Session, checks: Iterable[Check]) -> None:
    for check in checks:
        mark = {"ok": "✓", "warning": "!", "missing": "✗"}[check.state]
        remedy = f": {check.remedy}" if check.remedy else ""
        session.err.print(f"[{_COLOURS[check.state]}]{mark}[/] ", end="")
        session.err.print(check.what + remedy, markup=False, soft_wrap=True)


def _print(session: Session, steps: Iterable[Step], about: str) -> None:
    if session.json:
        session.give_json({"steps": [{"title": step.title, "lines": list(step.lines())} for step in steps]})
    else:
        session.give_lines([write_script(steps, about).rstrip()])


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
