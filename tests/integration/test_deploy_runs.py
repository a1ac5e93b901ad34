"""`darkroom deploy` and `destroy` with tools that only record how they were called."""

import os
import stat
import subprocess
from io import StringIO
from pathlib import Path

import jmespath  # type: ignore[import-untyped]
import pytest
from rich.console import Console
from typer.testing import CliRunner

from darkroom_cli.deploy.commands import Step, command, write_script
from darkroom_cli.deploy.components import read_components
from darkroom_cli.deploy.documents import parse_yaml, read_config
from darkroom_cli.deploy.faults import check_config
from darkroom_cli.deploy.names import Names
from darkroom_cli.deploy.plans import Deployment
from darkroom_cli.deploy.removal import Removal
from darkroom_cli.deploy.runner import Runner, StepError
from darkroom_cli.image_caches import CacheRequest, ImageCaches
from darkroom_cli.main import app
from darkroom_cli.settings import PROGRAMS

ROOT = Path(__file__).parents[2]

TOOL = """#!/bin/sh
name=${0##*/}
printf '%s\\0' "$name" "$@" '
' >> "$RECORD" # at once: two tools of a pipe run side by side
case "$name $*" in *"s3 cp -"*|*password-stdin*) cat >/dev/null;; esac
while IFS='|' read -r words code answer; do
  case "$name $*" in *"$words"*)
    if [ "$code" = 0 ]; then echo "$answer"; else echo "$answer" >&2; fi
    exit "$code";;
  esac
done < "$RULES"
echo "answer of $name"
"""
"""Records its arguments, and answers by the first rule whose words they hold."""

TWO = """
modelBucketArn: arn:aws:s3:::sdoneks-model-bucket-1
modelsRuntime:
- {name: sdruntime, type: sdwebui}
- {name: comfy, type: comfyui, namespace: comfy, chartRepository: "https://example.com/"}
"""


class Tools:
    """The fake tools' answers, by words that a call holds, and the calls that they recorded."""

    def __init__(self, folder: Path) -> None:
        self._record, self._rules = folder / "record", folder / "rules"
        self.answer()

    def answer(self, *rules: tuple[str, int, str]) -> None:
        self._record.write_text("")
        self._rules.write_text("".join(f"{words}|{code}|{answer}\n" for words, code, answer in rules))

    @property
    def calls(self) -> list[list[str]]:
        """In order; without those that run beside the command that takes what they give."""
        found = [line.split("\0") for line in self._record.read_text().split("\0\n\0")[:-1]]
        return [call for call in found if call[0] != "curl" and {"get-login-password", "login"}.isdisjoint(call)]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("aws", "sam", "helm", "kubectl", "curl", "darkroom", "docker"):
        path = folder / name
        path.write_text(TOOL)
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    monkeypatch.setenv("RULES", str(tmp_path / "rules"))
    return Tools(tmp_path)


def deployment(text: str) -> Deployment:
    return Deployment(check_config(parse_yaml(text, "config.yaml")), "us-west-2", ROOT, Path("made"))


def run(steps: list[Step]) -> str:
    console = Console(file=StringIO(), width=200)
    Runner(console).run(steps)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


FIRST_TIME = (
    ("head-bucket", 1, "404"),
    ("head-object", 1, "404"),
    ("get-role", 1, "NoSuchEntity"),
    ("describe-repositories", 1, "RepositoryNotFoundException"),
    ("describe-images", 1, "ImageNotFoundException"),
)


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [*FIRST_TIME],
    ],
    ids=["all there", "nothing there"],
)
def test_what_is_printed_and_what_is_run_are_the_same(tools: Tools, rules: list[tuple[str, int, str]]) -> None:
    steps = list(deployment(TWO).steps())
    tools.answer(*rules)
    run(steps)
    ran = tools.calls
    tools.answer(*rules)
    subprocess.run(["bash", "-c", write_script(steps)], check=True, capture_output=True)  # noqa: S603, S607  ours
    assert ran == tools.calls
    assert len(ran) > 30


def test_everything_comes_in_its_order(tools: Tools) -> None:
    tools.answer(*FIRST_TIME)
    run(list(deployment(TWO).steps()))
    marks = [
        " ".join(call[:3])
        if call[0] == "aws"
        else " ".join([call[0], call[1], *_value(call, "--stack-name"), *_release(call)])
        for call in tools.calls
        if call[:2] not in (["aws", "cloudformation"], ["aws", "ec2"])
    ]
    assert [
        "aws s3api head-bucket",
        "aws s3api create-bucket",
        "aws s3api put-public-access-block",
        "aws s3api head-object",
        "aws s3 cp",
        "aws sts get-caller-identity",
        "aws ecr describe-repositories",
        "aws ecr create-repository",
        "aws ecr describe-images",
        "docker build",
        "docker push",
        "aws iam get-role",
        "aws iam create-service-linked-role",
        "sam deploy sdoneksStack-cluster",
        "aws eks update-kubeconfig",
        "helm upgrade karpenter-crd",
        "helm upgrade karpenter",
        "helm upgrade keda",
        "helm upgrade dcgm-exporter",
        "sam deploy sdoneksStack-operations",
        "darkroom image-cache",
        "sam build",
        "sam deploy sdoneksStack",
        "sam deploy sdoneksStack-sdruntime",
        "aws ssm get-parameter",
        "helm upgrade sdruntime",
        "sam deploy sdoneksStack-comfy",
        "aws ssm get-parameter",
        "helm upgrade comfy",
    ] == marks


def test_the_snapshot_holds_all_images_and_every_runtime_without_one_gets_it(tools: Tools) -> None:
    tools.answer(("image-cache", 0, "snap-made"), ("get-caller-identity", 0, "123456789012"))
    run(list(deployment(TWO).steps()))
    (build,) = (call for call in tools.calls if call[0] == "darkroom")
    images = build[3 : build.index("--size")]
    assert {"sdwebui:latest", "comfyui:latest"} < {image.rpartition("/")[2] for image in images}
    assert 3 == len(images)
    assert any(
        image.startswith("123456789012.dkr.ecr.us-west-2.amazonaws.com/sdoneks/queue-agent:") for image in images
    )
    assert ["--size", "80", "--stack", "sdoneksStack-operations", "--region", "us-west-2"] == build[-6:]
    installs = [call for call in tools.calls if call[0] == "helm" and call[3] in {"sdruntime", "comfy"}]
    assert 2 == len(installs)
    assert all("karpenter.nodeTemplate.dataVolume.snapshotID=snap-made" in call for call in installs)


def test_what_deploy_runs_of_darkroom_is_what_the_command_line_takes(tools: Tools) -> None:
    run(list(deployment(TWO).steps()))
    (build,) = (call for call in tools.calls if call[0] == "darkroom")
    made: list[tuple[CacheRequest, str]] = []

    def find(caches: ImageCaches, request: CacheRequest) -> str:
        made.append((request, caches._aws.stack))
        return "snap-1"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageCaches, "find", find)
        result = CliRunner().invoke(app, build[1:])
    assert "snap-1\n" == result.stdout
    assert [(CacheRequest(build[3:6], 80), "sdoneksStack-operations")] == made


def test_the_tools_that_make_setup_brings_are_found_by_the_script_too() -> None:
    script = write_script([Step("Show it", (command("bash", "-c", "command -v darkroom"),))])
    found = subprocess.run(  # noqa: S603  ours
        ["/bin/bash", "-c", script],
        env={"PATH": "/usr/bin:/bin"},
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert PROGRAMS / "darkroom" == Path(found.stdout.strip())


def test_a_failure_tells_the_command_its_words_and_that_it_can_be_repeated(tools: Tools) -> None:
    tools.answer(("helm upgrade --install keda", 1, "Error: context deadline exceeded"))
    with pytest.raises(StepError) as caught:
        run(list(deployment(TWO).steps()))
    assert "Install keda 2.20.2" == caught.value.step.title
    assert "context deadline exceeded" in str(caught.value)
    assert "helm upgrade --install keda" in str(caught.value)
    assert "run the same again" in (caught.value.hint or "")
    assert not [call for call in tools.calls if "dcgm-exporter" in call], "nothing after it was run"


def test_the_same_again_after_a_failure_does_what_is_left_and_makes_nothing_twice(tools: Tools) -> None:
    tools.answer(*FIRST_TIME, ("helm upgrade --install keda", 1, "Error: context deadline exceeded"))
    with pytest.raises(StepError):
        run(list(deployment(TWO).steps()))
    made = {" ".join(call[:3]) for call in tools.calls}
    once = {"aws s3api create-bucket", "aws ecr create-repository", "aws iam create-service-linked-role"}
    assert once | {"aws s3 cp"} <= made
    tools.answer()  # what the first run made is there
    told = run(list(deployment(TWO).steps()))
    again = {" ".join(call[:3]) for call in tools.calls}
    assert not again & (once | {"aws s3 cp"})
    assert not [call for call in tools.calls if call[0] == "docker"]
    assert "Install comfy (comfyui)" in told


def test_an_output_that_is_not_there_stops_the_run(tools: Tools) -> None:
    tools.answer(("OutputKey==`AccessRoleArn`", 0, ""))
    with pytest.raises(StepError, match="told nothing"):
        run(list(deployment(TWO).steps()))


def test_a_network_without_a_subnet_for_nodes_stops_the_run_before_anything_is_made_in_it(tools: Tools) -> None:
    tools.answer(("describe-subnets", 0, ""))
    with pytest.raises(StepError, match="it should have told SUBNET, and told nothing"):
        run(list(deployment(TWO).steps()))
    (ask,) = (call for call in tools.calls if "describe-subnets" in call)
    assert "" == jmespath.search(*_value(ask, "--query"), {"Subnets": []}), "the AWS CLI would print None"
    assert not [call for call in tools.calls if "sdoneksStack-operations" in call]


@pytest.mark.parametrize("remove", [False, True])
def test_the_users_own_kubectl_context_is_left_alone(tools: Tools, *, remove: bool) -> None:
    names = Names("sdoneks", "us-west-2")
    run(list(Removal(names, [], [("a", "b")]).steps() if remove else deployment(TWO).steps()))
    using = [call for call in tools.calls if call[0] in {"helm", "kubectl"} or "update-kubeconfig" in call]
    assert len(using) > 2
    assert [[".darkroom/sdoneks/kubeconfig"]] * len(using) == [_value(call, "--kubeconfig") for call in using]


def test_a_tool_that_is_not_there_is_told() -> None:
    with pytest.raises(StepError, match="No such file"):
        run([Step("Try", (command("no-such-tool-anywhere"),))])


@pytest.mark.usefixtures("tools")
def test_progress_says_what_was_done_already() -> None:
    told = run(list(deployment(TWO).steps()))
    assert "Make the bucket of models, sdoneks-model-bucket-1 done already" in told
    assert f"[{told.count('✓')}/{told.count('✓')}] Show what there is" in told


def test_a_bucket_of_ones_own_and_a_snapshot_are_taken_as_they_are(tools: Tools) -> None:
    given = read_config(ROOT / "tests/guide/china.yaml")
    run(list(Deployment(given, "cn-northwest-1", ROOT, Path("made")).steps()))
    lines = [" ".join(call) for call in tools.calls]
    assert not [line for line in lines if "create-bucket" in line or "image-cache" in line or "curl" in line]
    assert not [line for line in lines if line.startswith("aws") and "--region cn-northwest-1" not in line]
    (helm,) = (line for line in lines if "helm upgrade --install sdruntime" in line)
    assert "snapshotID" not in helm, "it stands in the values"


@pytest.mark.parametrize("there", [True, False])
def test_a_removal_is_printed_as_it_is_run_and_asks_what_is_gone(tools: Tools, *, there: bool) -> None:
    rules = [] if there else [("describe-stacks", 254, "Stack with id x does not exist")]
    steps = list(Removal(Names("sdoneks", "us-west-2"), read_components(ROOT / "charts"), [("a", "b")]).steps())
    tools.answer(*rules)
    run(steps)
    ran = tools.calls
    tools.answer(*rules)
    subprocess.run(["bash", "-c", write_script(steps)], check=True, capture_output=True)  # noqa: S603, S607  ours
    assert ran == tools.calls
    deleted = [call[call.index("--stack-name") + 1] for call in ran if "delete-stack" in call]
    everything = ["sdoneksStack-a", "sdoneksStack", "sdoneksStack-operations", "sdoneksStack-cluster"]
    assert (everything if there else []) == deleted


def test_a_removal_takes_a_refusal_for_no_sign_that_something_is_gone(tools: Tools) -> None:
    tools.answer(("describe-stacks", 254, "ExpiredToken: the security token is expired"))
    with pytest.raises(StepError, match="ExpiredToken"):
        run(list(Removal(Names("sdoneks", "us-west-2"), [], [("a", "b")]).steps()))


@pytest.mark.parametrize("told", ["None", ""])
def test_what_is_left_of_a_deployment_whose_cluster_never_came_is_removed(tools: Tools, told: str) -> None:
    tools.answer(("OutputKey==`ClusterName`", 0, told))
    run(list(Removal(Names("sdoneks", "us-west-2"), read_components(ROOT / "charts"), []).steps()))
    assert not [call for call in tools.calls if call[0] in {"helm", "kubectl"} or "update-kubeconfig" in call]
    deleted = [call[call.index("--stack-name") + 1] for call in tools.calls if "delete-stack" in call]
    assert ["sdoneksStack", "sdoneksStack-operations", "sdoneksStack-cluster"] == deleted


def test_without_runtimes_nobody_waits_for_their_instances(tools: Tools) -> None:
    run(list(Removal(Names("sdoneks", "us-west-2"), read_components(ROOT / "charts"), []).steps()))
    assert not [call for call in tools.calls if call[0] == "kubectl"]
    assert [call for call in tools.calls if call[0] == "helm"]


def test_instances_end_before_karpenter_goes(tools: Tools) -> None:
    run(list(Removal(Names("sdoneks", "us-west-2"), read_components(ROOT / "charts"), [("a", "b")]).steps()))
    order = [call[0] + " " + call[1] + " " + call[2] for call in tools.calls if call[0] in {"helm", "kubectl"}]
    assert [
        "helm uninstall a",
        "kubectl --kubeconfig .darkroom/sdoneks/kubeconfig",
        "helm uninstall dcgm-exporter",
    ] == order[:3]
    assert "helm uninstall karpenter-crd" == order[-1]


def _value(call: list[str], option: str) -> list[str]:
    return [call[call.index(option) + 1]] if option in call else []


def _release(call: list[str]) -> list[str]:
    return [call[3]] if call[0] == "helm" else []
