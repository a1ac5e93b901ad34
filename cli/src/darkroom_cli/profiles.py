"""Profiles: the Darkrooms that this user knows, in a file that only they may read."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

import tomli_w
from platformdirs import user_config_path
from pydantic import Field, TypeAdapter, ValidationError

from darkroom.models import JsonObject, Model
from darkroom_cli.access import Access, AwsAccess
from darkroom_cli.errors import ConfigurationError
from darkroom_cli.local_state import find_local
from darkroom_cli.private_files import write_private
from darkroom_cli.settings import ClientSettings

LOCAL = "local"
"""The profile that is always there."""


class _Profile(Model):
    """What profiles have in common.

    `runtime` is the one that the command line asks where none is named; `operator` takes the operator's key.
    """

    runtime: str | None = None
    operator: bool = False


class LocalProfile(_Profile):
    """The local cloud that runs on this machine."""

    kind: Literal["local"] = "local"

    def access(self) -> Access:
        """Look where it is now."""
        state = find_local()
        session = {
            "aws_access_key_id": state.access_key_id,
            "aws_secret_access_key": state.secret_access_key,
            "region_name": state.region,
        }
        key = state.operator_key if self.operator else state.api_key
        return Access(state.url, key, aws=AwsAccess(state.stack, session, state.endpoint_url))


class UrlProfile(_Profile):
    """An API by its address and a key."""

    kind: Literal["url"] = "url"
    url: str
    api_key: str = Field(repr=False)

    def access(self) -> Access:
        """What it says."""
        return Access(self.url, self.api_key)


class StackProfile(_Profile):
    """A deployed stack by its name, found with one's AWS credentials."""

    kind: Literal["stack"] = "stack"
    stack: str
    region: str | None = None
    aws_profile: str | None = None

    def access(self) -> Access:
        """Ask AWS for it."""
        from darkroom_cli.stacks import find_stack

        named = {"region_name": self.region, "profile_name": self.aws_profile}
        aws = AwsAccess(self.stack, {name: value for name, value in named.items() if value})
        return find_stack(aws, operator=self.operator)


Profile: TypeAlias = LocalProfile | UrlProfile | StackProfile
_PROFILE: TypeAdapter[Profile] = TypeAdapter(Annotated[Profile, Field(discriminator="kind")])


class Config(Model):
    """The file: the profiles by name, and the one in use."""

    current: str | None = None
    profiles: dict[str, Annotated[Profile, Field(discriminator="kind")]] = Field(default_factory=dict)

    @classmethod
    def read(cls) -> Self:
        """Read the file, if there is one.

        Raises:
            ConfigurationError: it is broken.
        """
        try:
            text = config_path().read_text("utf-8")
        except FileNotFoundError:
            return cls()
        try:
            return cls.model_validate(tomllib.loads(text))
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise ConfigurationError(f"{config_path()}: {where}: {fault['msg']}", hint="Mend the file.") from error
        except ValueError as error:
            raise ConfigurationError(f"{config_path()}: {error}", hint="Mend the file.") from error

    def write(self) -> None:
        """Write the file."""
        write_private(config_path(), tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)))

    @property
    def all(self) -> dict[str, Profile]:
        """The profiles, the local one among them."""
        return {LOCAL: LocalProfile(), **self.profiles}

    def profile(self, name: str) -> Profile:
        """A profile by its name.

        Raises:
            ConfigurationError: there is none.
        """
        try:
            return self.all[name]
        except KeyError:
            known = ", ".join(self.all)
            hint = f"Make one: `darkroom config set {name} …`."
            raise ConfigurationError(f"There is no profile {name!r}; there is: {known}.", hint=hint) from None


def config_path() -> Path:
    """Where the file is, or would be."""
    return user_config_path("darkroom") / "config.toml"


def read_profile(values: JsonObject) -> Profile:
    """A profile from its fields; which ones there are says of which kind it is."""
    kind = "stack" if values.get("stack") else "url" if values.get("url") else "local"
    return _PROFILE.validate_python({"kind": kind} | {name: value for name, value in values.items() if value})


def find_access(name: str | None = None, settings: ClientSettings | None = None) -> Access:
    """The Darkroom to speak to: that of the named profile, of the environment, or of the profile in use.

    Raises:
        ConfigurationError: there is no such profile, or it leads nowhere.
    """
    settings = settings or ClientSettings.from_environment()
    if name is None and settings.url is not None:
        if settings.api_key is None:
            raise ConfigurationError("DARKROOM_URL is set, and DARKROOM_API_KEY is not.", hint="Set both, or none.")
        return Access(settings.url, settings.api_key.get_secret_value())
    config = Config.read()
    chosen = name or settings.profile or config.current or LOCAL
    profile = config.profile(chosen)
    found = profile.access()
    return Access(found.url, found.api_key, chosen, profile.runtime, found.aws)
