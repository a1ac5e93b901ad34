"""`darkroom deploy`, `config validate` and `status` as a user meets them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from moto import mock_aws
from typer.testing import CliRunner, Result

from darkroom_cli.deploy.checks import AccountChecks
from darkroom_cli.deploy.documents import read_config
from darkroom_cli.deploy.workplace import Workplace
from darkroom_cli.main import app
from darkroom_cli.stacks import explained_aws

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working copy, as far as the commands look at it."""
    (tmp_path / "sam").mkdir()
    (tmp_path / "sam/cluster.yaml").touch()
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    return tmp_path


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("_instances", "_snapshots", "_quotas"):  # test_checks.py has them
        monkeypatch.setattr(AccountChecks, name, lambda _: ())
    with mock_aws():
        yield


def darkroom(*argv: str) -> Result:
    return CliRunner().invoke(app, argv)


def test_a_dry_run_writes_the_guides_configuration_and_prints_a_script(repository: Path) -> None:
    result = darkroom("deploy", "-d", "-T", "-R", "us-west-2", "-b", "my-models", "-s", "snap-0123456789")
    assert 0 == result.exit_code, result.output
    config = read_config(repository / "config.yaml")
    assert ("sdoneks", "my-models", "aws") == (config.stack_name, config.bucket, config.partition)
    (runtime,) = config.models_runtime
    assert ("sdruntime", "default", "sdwebui") == (runtime.name, runtime.namespace, runtime.type)
    assert "snap-0123456789" == runtime.values["karpenter"]["nodeTemplate"]["dataVolume"]["snapshotID"]
    assert result.stdout.startswith(
        "#!/usr/bin/env bash\n"
        "# Deploys sdoneksStack in us-west-2, account 123456789012. Run it in this folder.\n"
        "set -euo pipefail\n"
    )
    assert "image-cache" not in result.stdout
    assert (repository / ".darkroom/sdoneks/sdruntime.values.yaml").is_file()
    assert "make it in us-west-2" in result.stderr, "what is missing is told, and does not stop a dry run"


def test_every_flag_of_the_guide_is_heeded(repository: Path) -> None:
    result = darkroom(
        *("deploy", "--dry-run", "--skip-tools", "--region", "cn-northwest-1", "--stack-name", "Mine"),
        *("--bucket", "b-1", "--snapshot", "snap-1", "--runtime-name", "comfy", "--runtime-type", "comfyui"),
    )
    assert 0 == result.exit_code, result.output
    config = read_config(repository / "config.yaml")
    assert ("mine", "aws-cn") == (config.stack_name, config.partition), (
        "names are in lower case, as the guide's are"
    )
    assert ("comfy", "comfyui") == (config.models_runtime[0].name, config.models_runtime[0].type)
    assert "--stack-name mineStack-comfy" in result.stdout
    assert "curl" not in result.stdout


def test_a_configuration_that_is_there_is_taken_and_not_contradicted(repository: Path) -> None:
    (repository / "config.yaml").write_text((ROOT / "tests/guide/china.yaml").read_text("utf-8"))
    before = (repository / "config.yaml").read_text()
    result = darkroom("deploy", "-d", "-T", "-R", "cn-northwest-1")
    assert 0 == result.exit_code, result.output
    assert "StageName=dev" in result.stdout
    assert "${MODEL_BUCKET}: put your own value in its place" in result.stderr
    against = darkroom("deploy", "-d", "-T", "-R", "cn-northwest-1", "-b", "other")
    assert 0 != against.exit_code
    assert "says otherwise than --bucket other" in against.stderr
    assert before == (repository / "config.yaml").read_text()


def test_without_a_bucket_one_is_named_after_deployment_account_and_region(repository: Path) -> None:
    assert 0 == darkroom("deploy", "-d", "-T", "-R", "us-east-1").exit_code
    assert "sdoneks-model-bucket-123456789012-us-east-1" == read_config(repository / "config.yaml").bucket


def test_a_deployment_does_not_start_while_something_is_missing() -> None:
    result = darkroom("deploy", "-T", "-R", "us-west-2", "-b", "not-there", "-s", "snap-1")
    assert 0 != result.exit_code
    assert "Something is missing." in result.stderr


def test_without_credentials_a_deployment_says_how_to_log_in_and_a_dry_run_prints(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Workplace) -> str:
        with explained_aws():
            raise NoCredentialsError

    monkeypatch.setattr(Workplace, "account", refuse)
    asked = ("-T", "-R", "us-west-2", "-b", "my-models", "-s", "snap-1")
    refused = darkroom("deploy", *asked)
    assert 0 != refused.exit_code
    assert "Log in to AWS" in refused.stderr
    assert not (repository / "config.yaml").exists()
    printed = darkroom("deploy", "-d", *asked)
    assert 0 == printed.exit_code
    assert "account not known" in printed.stdout
    assert "the account is not checked" in printed.stderr


def test_without_a_region_nothing_is_guessed() -> None:
    result = darkroom("deploy", "-d", "-T")
    assert 0 != result.exit_code
    assert "It is not known where to deploy." in result.stderr


def test_outside_the_repository_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sam/cluster.yaml").unlink()
    monkeypatch.chdir(tmp_path)
    assert "Run this in Darkroom's repository." in darkroom("deploy", "-d", "-R", "us-east-1").stderr


def test_from_a_folder_below_the_paths_lead_back(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "below").mkdir()
    monkeypatch.chdir(repository / "below")
    result = darkroom("deploy", "-d", "-T", "-R", "us-west-2", "-b", "b-1", "-s", "snap-1")
    assert "--template-file ../sam/cluster.yaml" in result.stdout


@pytest.mark.parametrize("command", [("deploy", "-d", "-T", "-R", "us-west-2"), ("config", "validate")])
def test_a_parameter_that_no_template_has_is_told_and_not_dropped(
    repository: Path, command: tuple[str, ...]
) -> None:
    for name in ("cluster", "runtime", "template", "operations"):
        (repository / f"sam/{name}.yaml").write_text((ROOT / f"sam/{name}.yaml").read_text("utf-8"), "utf-8")
    (repository / "config.yaml").write_text("""
modelBucketArn: arn:aws:s3:::models
modelsRuntime: [{name: a, type: sdwebui}]
parameters:
  cluster: {ExistingVpc: vpc-1, NodeCount: "3"}
  controlPlane: {EventBusName: two}
  runtime: {Moon: "1"}
""")
    result = darkroom(*command)
    assert 0 != result.exit_code
    told = " ".join(result.stderr.split())
    assert (
        "parameters.cluster.ExistingVpc: sam/cluster.yaml has no such parameter; did you mean ExistingVpcId?"
        in told
    )
    assert (
        "parameters.runtime.Moon: sam/runtime.yaml has no such parameter; there are ControlPlane, RuntimeName"
        in told
    )
    assert "NodeCount" not in told
    assert "EventBusName" not in told


def test_validate_tells_every_fault(repository: Path) -> None:
    good = repository / "good.yaml"
    good.write_text("modelBucketArn: arn:aws:s3:::m\nmodelsRuntime:\n- {name: a, type: sdwebui}\n")
    assert f"{good} is right: sdoneks with a" in darkroom("config", "validate", str(good)).stdout.replace("\n", "")
    good.write_text("modelBucketArn: arn:aws:s3:::m\nmodelsRuntime:\n- {nam: a, type: sdwebui}\n")
    result = darkroom("config", "validate", str(good))
    assert 2 == result.exit_code
    assert "modelsRuntime[0].nam: there is no such key; did you mean name?" in result.stderr
    assert "modelsRuntime[0].name: is missing" in result.stderr


def test_status_shows_stacks_and_queues_and_forgotten_runtimes() -> None:
    cloudformation = boto3.client("cloudformation", region_name="us-west-2")
    parameters = {
        "ControlPlane": "sdoneksStack",
        "RuntimeName": "old",
        "Namespace": "art",
        "RuntimeType": "comfyui",
    }
    template: dict[str, Any] = {
        "Parameters": {name: {"Type": "String"} for name in parameters},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"QueueUrl": {"Value": {"Ref": "Queue"}}},
    }
    cloudformation.create_stack(
        StackName="sdoneksStack-old",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    result = darkroom("status", "-R", "us-west-2", "--json")
    assert 0 == result.exit_code, result.output
    told = json.loads(result.stdout)
    assert ["MISSING"] * 3 == [stack["status"] for stack in told["stacks"]]
    (runtime,) = told["runtimes"]
    assert ("old", "art", 0, 0) == (runtime["name"], runtime["namespace"], runtime["waiting"], runtime["at_work"])
    removal = darkroom("destroy", "-R", "us-west-2", "--dry-run")
    assert "helm uninstall old --kubeconfig .darkroom/sdoneks/kubeconfig --namespace art" in removal.stdout
    assert "sdoneksStack-cluster" in removal.stdout


def test_a_removal_asks_and_heeds_the_answer() -> None:
    result = CliRunner().invoke(app, ["destroy", "-R", "us-west-2"], input="no\n")
    assert 0 != result.exit_code
    assert "Kept: the bucket of images, the bucket of models" in result.stderr.replace("\n", " ")
    assert "Nothing was removed." in result.stderr


def test_a_name_in_config_yaml_is_kept_as_it_is_written(repository: Path) -> None:
    text = "stackName: SdOnEKS\nmodelBucketArn: arn:aws:s3:::m\nmodelsRuntime:\n- {name: a, type: sdwebui}\n"
    (repository / "config.yaml").write_text(text)
    assert "--stack-name SdOnEKSStack-cluster" in darkroom("deploy", "-d", "-T", "-R", "us-west-2").stdout
    assert "--stack-name SdOnEKSStack-cluster" in darkroom("destroy", "-d", "-R", "us-west-2").stdout.replace(
        '"', ""
    )
