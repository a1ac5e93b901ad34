"""The image's recipe. It is built where a container engine exists; its rules hold everywhere."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

AGENT = Path(__file__).parents[3] / "agent"
RECIPE = (AGENT / "Dockerfile").read_text()
LAST_STAGE = RECIPE[RECIPE.rindex("\nFROM ") :]


def names(lines: str) -> set[str]:
    """The packages that a list of requirements names."""
    return {match.lower() for match in re.findall(r"^([A-Za-z0-9._-]+)", lines, re.MULTILINE)}


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint
    found = subprocess.run([hadolint, str(AGENT / "Dockerfile")], capture_output=True, text=True, check=False)  # noqa: S603  pinned
    assert (0, "") == (found.returncode, found.stdout)


def test_it_runs_as_a_user_that_kubernetes_can_tell_from_root() -> None:
    (user,) = re.findall(r"^USER (.+)$", LAST_STAGE, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)


def test_nothing_is_installed_in_what_is_shipped() -> None:
    assert not re.search(r"apt-get|apk|pip install|pip wheel", LAST_STAGE)
    assert "pip uninstall" in LAST_STAGE


def test_the_base_is_named_once_with_a_tag_and_can_be_pinned() -> None:
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", RECIPE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.13-slim-\w+", base)
    assert ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"] == re.findall(r"^FROM (.+)$", RECIPE, re.MULTILINE)


def test_everything_that_is_installed_is_pinned_by_hash() -> None:
    for name in ("requirements", "build"):
        pinned = (AGENT / f"{name}.txt").read_text()
        assert names((AGENT / f"{name}.in").read_text()) <= names(pinned)
        assert len(re.findall(r"==", pinned)) <= len(re.findall(r"--hash=sha256:", pinned))
    assert 2 == RECIPE.count("--require-hashes")


def test_what_the_package_needs_is_in_the_image() -> None:
    needs = tomllib.loads((AGENT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert names("\n".join(needs)) - {"darkroom"} <= names((AGENT / "requirements.in").read_text())


def test_the_image_says_how_it_is() -> None:
    assert "/healthz" in LAST_STAGE[LAST_STAGE.index("\nHEALTHCHECK") :]
