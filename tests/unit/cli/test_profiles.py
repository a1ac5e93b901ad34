"""Which Darkroom is spoken to: the environment, profiles, the local cloud's own announcement."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom_cli import profiles
from darkroom_cli.errors import ConfigurationError, NotRunningError
from darkroom_cli.local_state import LocalState, announced, find_local, state_path
from darkroom_cli.profiles import Config, UrlProfile, config_path, find_access, read_profile
from darkroom_cli.settings import ClientSettings


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(profiles, "user_config_path", lambda name: tmp_path / "config" / name)
    monkeypatch.setattr("darkroom_cli.local_state.user_cache_path", lambda name: tmp_path / "cache" / name)


def state(pid: int | None = None) -> LocalState:
    return LocalState(
        pid=os.getpid() if pid is None else pid,
        url="http://127.0.0.1:8080/prod",
        api_key="k",
        operator_key="o",
        stack="darkroom",
        region="us-east-1",
        endpoint_url="http://127.0.0.1:5000",
        access_key_id="a",
        secret_access_key="s",
    )


def settings(**variables: str) -> ClientSettings:
    return ClientSettings.from_environment({f"DARKROOM_{name.upper()}": value for name, value in variables.items()})


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_the_environment_goes_before_every_profile() -> None:
    Config(current="work", profiles={"work": UrlProfile(url="https://work", api_key="w")}).write()

    access = find_access(settings=settings(url="https://env", api_key="e", profile="work"))

    assert (access.url, access.api_key) == ("https://env", "e")


def test_a_profile_that_is_named_goes_before_the_environment() -> None:
    Config(profiles={"work": UrlProfile(url="https://work", api_key="w", runtime="sd")}).write()

    access = find_access("work", settings(url="https://env", api_key="e"))

    assert (access.url, access.runtime, access.profile) == ("https://work", "sd", "work")


@pytest.mark.parametrize(("variable", "used"), [("b", "https://b"), (None, "https://a")])
def test_darkroom_profile_goes_before_the_one_in_use(variable: str | None, used: str) -> None:
    both = {name: UrlProfile(url=f"https://{name}", api_key="k") for name in ("a", "b")}
    Config(current="a", profiles=both).write()

    assert find_access(settings=settings(**({"profile": variable} if variable else {}))).url == used


def test_an_address_without_a_key_is_told() -> None:
    with pytest.raises(ConfigurationError, match="DARKROOM_API_KEY is not"):
        find_access(settings=settings(url="https://env"))


def test_without_anything_the_local_cloud_is_meant_and_must_run() -> None:
    with pytest.raises(NotRunningError) as caught:
        find_access(settings=settings())

    assert "darkroom local up" in str(caught.value.hint)


def test_a_running_local_cloud_is_found_and_only_while_it_runs() -> None:
    with announced(state()):
        access = find_access(settings=settings())
        assert (access.url, access.api_key) == ("http://127.0.0.1:8080/prod", "k")
        assert access.aws is not None
        assert access.aws.endpoint_url == "http://127.0.0.1:5000"

    assert not state_path().exists()


def test_an_operator_profile_takes_the_operators_key() -> None:
    Config(profiles={"local": read_profile({"operator": True})}).write()

    with announced(state()):
        assert find_access("local", settings()).api_key == "o"


def test_a_local_cloud_that_was_killed_is_not_found() -> None:
    with announced(state(ended_process())), pytest.raises(NotRunningError, match="ended without saying so"):
        find_local()


def test_a_local_cloud_that_ends_leaves_the_announcement_of_a_later_one() -> None:
    with announced(state()):
        state_path().write_text(state(os.getppid()).to_json())  # another one has started

    assert find_local().pid == os.getppid()


def test_files_with_keys_are_their_owners_only() -> None:
    Config(profiles={"work": UrlProfile(url="https://work", api_key="w")}).write()

    with announced(state()):
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (config_path(), state_path())]
    assert modes == [0o600, 0o600]


def test_what_is_written_is_read_again() -> None:
    config = Config(
        current="ops",
        profiles={
            "ops": read_profile({"stack": "darkroom", "region": "eu-west-1", "operator": True}),
            'a "b"': read_profile({"url": "https://x", "api_key": 'q"\\', "runtime": "sd"}),
        },
    )
    config.write()

    assert Config.read() == config


@pytest.mark.parametrize(
    "text", ["current = ", 'profiles = {a = {kind = "moon"}}', 'profiles = {a = {kind = "url"}}', "colour = 1"]
)
def test_a_broken_file_is_told_by_its_path(text: str) -> None:
    config_path().parent.mkdir(parents=True)
    config_path().write_text(text)

    with pytest.raises(ConfigurationError, match=r"config\.toml"):
        Config.read()


def test_an_unknown_profile_is_told_with_those_there_are() -> None:
    Config(profiles={"work": UrlProfile(url="https://work", api_key="w")}).write()

    with pytest.raises(ConfigurationError, match="there is: local, work"):
        find_access("typo", settings())


def test_keys_are_not_shown() -> None:
    shown = repr([state(), UrlProfile(url="https://x", api_key="very-secret"), settings(api_key="very-secret")])

    assert "very-secret" not in shown
