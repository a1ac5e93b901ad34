"""`darkroom config …`: the Darkrooms that this user knows."""

import sys
from typing import Annotated

import typer
from rich.table import Table

from darkroom_cli.commands.completions import complete_profile
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import UsageError
from darkroom_cli.profiles import (
    LOCAL,
    Config,
    LocalProfile,
    Profile,
    StackProfile,
    UrlProfile,
    config_path,
    read_profile,
)
from darkroom_cli.settings import ClientSettings

app = typer.Typer(no_args_is_help=True, help="Say which Darkroom to speak to.")

_OPERATOR = "(operator)"

Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.", autocompletion=complete_profile)]


@command(
    app,
    "set",
    examples=(
        "darkroom config set work --stack darkroom --region eu-west-1",
        "darkroom config set work --url https://….execute-api.eu-west-1.amazonaws.com/prod --api-key -",
        "darkroom config set local --runtime sdruntime",
    ),
)
def set_profile(
    session: Session,
    name: Name,
    *,
    stack: Annotated[str | None, typer.Option(help="A deployed stack, found with your AWS credentials.")] = None,
    region: Annotated[str | None, typer.Option(help="The stack's region.")] = None,
    aws_profile: Annotated[str | None, typer.Option(help="The AWS profile to find it with.")] = None,
    url: Annotated[str | None, typer.Option(help="Or the API's address, its stage included.")] = None,
    api_key: Annotated[
        str | None, typer.Option(metavar="KEY|-", help="Its key; - reads it from stdin. Asked for if left out.")
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="The runtime to ask where none is named.")] = None,
    operator: Annotated[
        bool | None, typer.Option(help="Take the stack's operator key, which sees all owners' tasks.")
    ] = None,
) -> None:
    """Make a profile, or change one. The first one made is used from then on."""
    config = Config.read()
    given = {"stack": stack, "region": region, "aws_profile": aws_profile, "url": url, "runtime": runtime}
    if stack and url:
        raise UsageError("A profile is a stack or an address, not both.")
    known = config.profiles.get(name)
    kept = {} if known is None or stack or url else known.model_dump()
    if url or (api_key and kept.get("url")):
        given["api_key"] = _read_key(session, api_key)
    elif api_key:
        raise UsageError("--api-key belongs to a --url.")
    values = kept | {key: value for key, value in given.items() if value}
    if operator is not None:
        values["operator"] = operator
    if name != LOCAL and not values.get("stack") and not values.get("url"):
        raise UsageError(f"What is {name!r}?", hint="Say --stack STACK, or --url URL.")
    profile = read_profile(values)
    current = config.current or (name if name != LOCAL else None)
    Config(current=current, profiles={**config.profiles, name: profile}).write()
    session.say(f"{name}: {_describe(profile)}")


@command(app, "list", examples=("darkroom config list",))
def list_profiles(session: Session) -> None:
    """List the profiles; the one in use is marked. Keys are not shown."""
    config, settings = Config.read(), ClientSettings.from_environment()
    used = None if settings.url else settings.profile or config.current or LOCAL
    if session.json:
        profiles = {name: it.model_dump(mode="json", exclude={"api_key"}) for name, it in config.all.items()}
        session.give_json({"current": used, "profiles": profiles})
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    for name, profile in config.all.items():
        table.add_row("[green]*[/]" if name == used else " ", name, _describe(profile), profile.runtime or "")
    session.out.print(table)
    if settings.url:
        session.say(f"[dim]DARKROOM_URL goes before them all: {settings.url}[/]")


@command(app, examples=("darkroom config use work", "darkroom config use local"))
def use(session: Session, name: Name) -> None:
    """Use a profile from now on."""
    config = Config.read()
    config.profile(name)
    config.model_copy(update={"current": name}).write()
    session.say(f"in use: {name}")


@command(app, examples=("darkroom config remove work",))
def remove(session: Session, name: Name) -> None:
    """Forget a profile."""
    config = Config.read()
    config.profile(name)
    left = {key: profile for key, profile in config.profiles.items() if key != name}
    Config(current=None if config.current == name else config.current, profiles=left).write()
    session.say(f"forgotten: {name}")


@command(app, examples=("darkroom config path",))
def path(session: Session) -> None:
    """Print where the profiles are kept."""
    if session.json:
        session.give_json({"path": str(config_path())})
    else:
        session.give_lines([str(config_path())])


def _read_key(session: Session, api_key: str | None) -> str:
    if api_key == "-":
        return sys.stdin.readline().strip()
    if api_key is None and session.err.is_terminal:
        return str(typer.prompt("API key", hide_input=True, err=True))
    if not api_key:
        raise UsageError("The address needs its --api-key.", hint="Say --api-key - to have it read from stdin.")
    return api_key


def _describe(profile: Profile) -> str:
    match profile:
        case LocalProfile():
            return " ".join(
                filter(None, ("the local cloud on this machine", _OPERATOR if profile.operator else None))
            )
        case UrlProfile(url=url):
            return url
        case StackProfile(stack=stack, region=region, aws_profile=aws_profile):
            places = (f"in {region}" if region else None, f"as {aws_profile}" if aws_profile else None)
            return " ".join(filter(None, (f"the stack {stack}", *places, _OPERATOR if profile.operator else None)))
