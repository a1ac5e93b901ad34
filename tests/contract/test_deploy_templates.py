"""What `darkroom deploy` says to the templates and to Helm is what they understand."""

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from samcli.cli.types import CfnParameterOverridesType  # type: ignore[import-untyped]
from tests.contract.chart_cases import QUEUE, guide
from tests.contract.charts import ROOT, check, render

from darkroom_cli.deploy.commands import Command
from darkroom_cli.deploy.faults import check_config
from darkroom_cli.deploy.plans import Deployment
from darkroom_cli.deploy.template_parameters import parameter_names

REGISTRATION = {
    "name": "sdruntime",
    "type": "sdwebui",
    "model": "v1-5-pruned-emaonly.safetensors",
    "dynamic_model": False,
    "agent": {"DARKROOM_QUEUE_URL": QUEUE, "DARKROOM_INPUT_BUCKETS": "one,two", "DARKROOM_TASKS_TABLE": "tasks"},
}
OUTPUTS = {
    "ACCOUNT": "123456789012",
    "NODE_ROLE": "nodes",
    "SNAPSHOT": "snap-0123456789",
    "REGISTRATION": json.dumps(REGISTRATION),
}


class _Loader(yaml.SafeLoader):
    """Reads a template without caring for CloudFormation's functions."""


_Loader.add_multi_constructor("!", lambda *_: None)


@cache
def template(name: str) -> Any:
    return yaml.load((ROOT / "sam" / name).read_text("utf-8"), _Loader)  # noqa: S506  a SafeLoader


def deployment() -> Deployment:
    return Deployment(check_config(guide("runtime")), "us-west-2", ROOT, Path())


def commands() -> list[Command]:
    return [command for step in deployment().steps() for command in step.commands]


def option(command: Command, name: str) -> str:
    return command.argv[command.argv.index(name) + 1]


STACKS = {
    "sdoneksStack-cluster": "cluster.yaml",
    "sdoneksStack-operations": "operations.yaml",
    "sdoneksStack": "template.yaml",
    "sdoneksStack-sdruntime": "runtime.yaml",
}


@pytest.mark.parametrize(("stack", "file"), STACKS.items())
def test_parameters_are_the_templates_and_none_is_missing(stack: str, file: str) -> None:
    (deploy,) = (
        it for it in commands() if it.argv[:2] == ("sam", "deploy") and option(it, "--stack-name") == stack
    )
    overrides = deploy.argv[deploy.argv.index("--parameter-overrides") + 1 :]
    given = {override.partition("=")[0] for override in overrides}
    parameters = template(file)["Parameters"]
    assert set() == given - set(parameters)
    assert set() == {name for name, it in parameters.items() if "Default" not in it} - given


@pytest.mark.parametrize("text", ["plain", "R-ESRGAN 4x+,Lanczos", 'say "hi" it\'s', "back\\slash", ""])
def test_sam_reads_a_parameter_as_it_was_given(text: str) -> None:
    model = "my model (1).safetensors"
    given = guide("runtime") | {"parameters": {"runtime": {"Upscalers": text}}}
    given["modelsRuntime"][0] |= {"modelFilename": model, "owners": ["key1", "key2"], "outputPrefix": "team-a"}
    steps = Deployment(check_config(given), "us-west-2", ROOT, Path()).steps()
    (deploy,) = (
        it
        for step in steps
        for it in step.commands
        if it.argv[:2] == ("sam", "deploy") and "RuntimeName=sdruntime" in it.argv
    )
    read = CfnParameterOverridesType().convert(
        deploy.argv[deploy.argv.index("--parameter-overrides") + 1 :], None, None
    )
    assert {
        "ModelFilename": model,
        "Upscalers": text,
        "Owners": "key1,key2",
        "OutputPrefix": "team-a",
        "TaskTypes": "",
    }.items() <= read.items()


@pytest.mark.parametrize("file", STACKS.values())
def test_the_parameters_that_a_configuration_is_held_against_are_the_templates(file: str) -> None:
    assert list(template(file)["Parameters"]) == parameter_names(ROOT / "sam" / file)


def test_a_runtime_that_is_no_longer_narrow_says_so() -> None:
    """A stack keeps the parameters that it is not given."""
    (release,) = deployment().releases
    assert {"Owners": "*", "OutputPrefix": "*", "TaskTypes": ""}.items() <= release.stack_parameters().items()


def test_what_is_said_of_one_runtime_goes_before_what_is_said_of_all() -> None:
    given = guide("runtime") | {"parameters": {"runtime": {"Owners": "key9", "OutputPrefix": "all"}}}
    given["modelsRuntime"][0] |= {"owners": ["key1"]}
    (release,) = Deployment(check_config(given), "us-west-2", ROOT, Path()).releases
    assert {"Owners": "key1", "OutputPrefix": "all"}.items() <= release.stack_parameters().items()


def test_every_output_that_is_read_is_there() -> None:
    read = {
        (option(it, "--stack-name"), option(it, "--query").split("`")[1])
        for it in commands()
        if it.into and "OutputKey==" in "".join(it.argv)
    }
    assert len(read) > 12
    assert [] == [(stack, key) for stack, key in read if key not in template(STACKS[stack])["Outputs"]]


def test_what_helm_is_given_renders_and_arrives() -> None:
    (install,) = (it for it in commands() if it.argv[:4] == ("helm", "upgrade", "--install", "sdruntime"))
    argv = install.resolve(OUTPUTS)
    (release,) = deployment().releases
    values = release.values()
    for name, value in pairwise(argv):
        if name == "--set-json":
            values = merge(values, helm_python.parse_set_json(value))
        elif name == "--set-string":
            values = merge(values, helm_python.parse_set_string_values(value))
    objects = render(values)
    for it in objects.values():
        check(it)
    text = json.dumps(list(objects.values()))
    assert "123456789012.dkr.ecr.us-west-2.amazonaws.com/sdoneks/queue-agent:" in text
    assert "snap-0123456789" in text
    assert "one,two" in objects["ConfigMap", "sdruntime-agent"]["data"]["DARKROOM_INPUT_BUCKETS"]
    assert (
        "models"
        == objects["PersistentVolume", next(n for k, n in objects if k == "PersistentVolume")]["spec"]["csi"][
            "volumeAttributes"
        ]["bucketName"]
    )


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: merge(under[key], over[key]) for key in under.keys() & over.keys() if isinstance(over[key], dict)}
    return under | over | both
