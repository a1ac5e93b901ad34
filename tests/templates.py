"""The templates under sam/ as CloudFormation reads them."""

from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

SAM = Path(__file__).parents[1] / "sam"


@cache
def template(name: str) -> dict[str, Any]:
    """The template of this name, read once, since that takes long: not to be changed."""
    found: dict[str, Any] = yaml_parse((SAM / f"{name}.yaml").read_text("utf-8"))
    return found


def lint(text: str) -> list[str]:
    """What cfn-lint says against a template, whatever the region; its hints aside."""
    from cfnlint.api import lint_all  # noqa: PLC0415  takes a second, which every run would pay

    return [str(fault) for fault in lint_all(text) if fault.rule.severity != "informational"]
