"""What is checked before a deployment, against an emulated account."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from moto import mock_aws

from darkroom_cli.deploy.checks import AccountChecks, check_tools
from darkroom_cli.deploy.config import Parameters
from darkroom_cli.deploy.faults import check_config
from darkroom_cli.deploy.findings import Check
from darkroom_cli.deploy.names import Names
from darkroom_cli.deploy.uploads import FOLDERS, model_key, upload
from darkroom_cli.errors import UsageError

MODEL = "Stable-diffusion/v1-5-pruned-emaonly.safetensors"


class Quotas:
    """Service Quotas with these values, and none else."""

    def __init__(self, values: dict[str, float]) -> None:
        self._values = values

    def get_service_quota(self, *, ServiceCode: str, QuotaCode: str) -> dict[str, Any]:  # noqa: N803  boto3's own
        if QuotaCode not in self._values:
            raise ClientError({"Error": {"Code": "NoSuchResourceException"}}, ServiceCode)
        return {"Quota": {"Value": self._values[QuotaCode]}}

    get_aws_default_service_quota = get_service_quota


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield


def client(service: str, quotas: dict[str, float] | None = None) -> Any:
    if service == "service-quotas":
        return Quotas(quotas or {})
    return made(service, "us-west-2")


@cache
def made(service: str, region: str) -> Any:
    """A client; making one takes longer than any test."""
    return boto3.client(service, region_name=region)  # type: ignore[call-overload]  # its stubs know literals only


def config(bucket: str = "models", extra: dict[str, Any] | None = None, partition: str = "aws") -> Any:
    runtime = {"name": "sdruntime", "type": "sdwebui", "extraValues": extra or {}}
    return check_config({"modelBucketArn": f"arn:{partition}:s3:::{bucket}", "modelsRuntime": [runtime]})


def checks(configuration: Any, quotas: dict[str, float] | None = None) -> list[Check]:
    return list(
        AccountChecks(configuration, Names("sdoneks", "us-west-2"), lambda name: client(name, quotas)).run()
    )


def bad(found: list[Check]) -> dict[str, str]:
    return {check.what: check.remedy for check in found if check.state != "ok"}


def make_bucket(region: str = "us-west-2", *keys: str) -> None:
    s3 = made("s3", region)
    s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": region})
    for key in keys:
        s3.put_object(Bucket="models", Key=key, Body=b"x")


def instances(*types: str) -> dict[str, Any]:
    return {"karpenter": {"provisioner": {"instanceType": list(types)}}}


def test_an_account_with_everything_has_nothing_to_mend() -> None:
    make_bucket("us-west-2", MODEL)
    quotas = {"L-DB2E81BA": 80.0, "L-3819A6DF": 80.0, "L-F8E2BA85": 3000.0, "L-F678F1CE": 5.0, "L-0263D0A3": 5.0}
    found = checks(config(extra=instances("g5.xlarge")), quotas)
    assert {} == bad(found)
    assert len(found) >= 9


def test_a_bucket_that_is_not_there_is_missing_unless_it_is_ours_to_make() -> None:
    assert "make it in us-west-2, or leave --bucket out" == bad(checks(config()))["bucket models"]
    assert not [what for what in bad(checks(config("sdoneks-model-bucket-1"))) if "bucket" in what]


def test_a_bucket_elsewhere_is_told() -> None:
    make_bucket("eu-west-1")
    assert "it is in eu-west-1; it must be in us-west-2" == bad(checks(config()))["bucket models"]


def test_a_model_that_is_not_uploaded_is_told_with_the_command() -> None:
    make_bucket()
    told = bad(checks(config()))["model v1-5-pruned-emaonly.safetensors"]
    assert "upload it: darkroom upload-model v1-5-pruned-emaonly.safetensors -b models" == told


@pytest.mark.parametrize(
    ("types", "word"),
    [(("p9.huge",), "choose others, as g4dn.xlarge"), (("g5.xlarge", "p9.huge"), "the others will do")],
)
def test_instances_that_the_region_lacks_are_told(types: tuple[str, ...], word: str) -> None:
    make_bucket("us-west-2", MODEL)
    assert word in bad(checks(config(extra=instances(*types))))["instances of sdruntime"]


def test_a_snapshot_that_is_not_there_is_told() -> None:
    make_bucket("us-west-2", MODEL)
    extra = {"karpenter": {"nodeTemplate": {"dataVolume": {"snapshotID": "snap-0123456789"}}}}
    assert "there is none in us-west-2" == bad(checks(config(extra=extra)))["snapshot snap-0123456789"]


def test_quotas_that_are_too_small_are_told_with_their_code() -> None:
    make_bucket("us-west-2", MODEL)
    full = {"L-F678F1CE": 1.0, "L-0263D0A3": 2.0, "L-FE5A380F": 0.0, "L-DC2B2D3D": 1.0}
    told = bad(checks(config(), {"L-DB2E81BA": 0.0, "L-3819A6DF": 3.0, "L-F8E2BA85": 10.0, **full}))
    for name, code in (
        ("Running On-Demand G and VT instances: 0 vCPUs", "L-DB2E81BA"),
        ("All G and VT Spot Instance Requests: 3 vCPUs", "L-3819A6DF"),
    ):
        assert f"that is too few for one replica; ask for more in Service Quotas ({code})" == told[f"quota {name}"]
    assert "one API key's 30 requests a second make 60" in told["quota Messages Published per Second: 10"]
    assert "1 of 1 are in use and 1 more are needed; ask for more (L-F678F1CE)" == told["quota VPCs per Region"]
    assert "3 more are needed" in told["quota EC2-VPC Elastic IPs"]
    assert "1 more are needed; ask for more (L-FE5A380F)" in told["quota NAT gateways per Availability Zone"]
    assert "1 of 1 are in use" in told["quota General purpose buckets"]


@pytest.mark.parametrize(
    ("capacity", "quotas", "states", "why"),
    [
        ({}, {"L-DB2E81BA": 0.0, "L-3819A6DF": 80.0}, ["warning", "ok"], "spot alone will do"),
        ({}, {"L-DB2E81BA": 0.0, "L-3819A6DF": 0.0}, ["missing", "missing"], "no instance at all"),
        ({}, {"L-DB2E81BA": 8.0}, ["warning"], "two of twenty replicas"),
        ({"onDemand": False}, {"L-DB2E81BA": 0.0, "L-3819A6DF": 80.0}, ["ok"], "none is bought on demand"),
        ({"spot": False}, {"L-DB2E81BA": 0.0, "L-3819A6DF": 80.0}, ["missing"], "none is bought as spot"),
    ],
)
def test_gpus_are_checked_by_how_they_are_bought(
    capacity: dict[str, bool], quotas: dict[str, float], states: list[str], why: str
) -> None:
    extra = {"karpenter": {"provisioner": {"capacityType": capacity}}}
    found = [check.state for check in checks(config(extra=extra), quotas) if "G and VT" in check.what]
    assert states == found, why


def test_what_runs_on_no_gpu_of_ours_needs_no_quota_for_it() -> None:
    for extra in ({"karpenter": {"enabled": False}}, instances("c7i.4xlarge")):
        found = checks(config(extra=extra), {"L-DB2E81BA": 0.0, "L-3819A6DF": 0.0})
        assert not [check for check in found if "G and VT" in check.what]


def test_gateways_are_counted_in_the_fullest_zone() -> None:
    ec2 = made("ec2", "us-west-2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    for number, zone in enumerate(("us-west-2a", "us-west-2a", "us-west-2b")):
        block = f"10.1.{number}.0/24"
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")
    told = bad(checks(config(), {"L-FE5A380F": 2.0}))
    assert "2 of 2 are in use" in told["quota NAT gateways per Availability Zone"]
    assert "quota NAT gateways per Availability Zone" not in bad(checks(config(), {"L-FE5A380F": 3.0}))


@pytest.mark.parametrize("given", [{"ExistingVpcId": "vpc-1"}, {"ExistingClusterName": "theirs"}])
def test_a_network_that_is_there_takes_nothing_of_the_networks_quotas(given: dict[str, str]) -> None:
    theirs = config().model_copy(update={"parameters": Parameters(cluster=given)})
    assert not [it for it in checks(theirs, {"L-F678F1CE": 0.0, "L-0263D0A3": 0.0}) if "VPC" in it.what]


def test_placeholders_of_the_guide_are_told() -> None:
    assert "put your own value in its place" == bad(checks(config("<bucket name>")))["config.yaml: <bucket name>"]


def test_a_partition_that_does_not_fit_the_region_is_told() -> None:
    assert (
        "in us-west-2 it begins with arn:aws, not arn:aws-cn"
        == bad(checks(config(partition="aws-cn")))["modelBucketArn"]
    )


def test_what_aws_does_not_answer_is_a_warning_and_the_rest_is_checked() -> None:
    def broken(service: str) -> Any:
        if service == "s3":
            raise NoCredentialsError
        return client(service)

    found = list(AccountChecks(config(), Names("sdoneks", "us-west-2"), broken).run())
    assert [Check("bucket", "warning", "AWS could not be asked: Unable to locate credentials")] == [
        check for check in found if check.what == "bucket"
    ]
    assert len(found) > 2


@pytest.mark.parametrize(
    ("answer", "state", "word"),
    [
        ("aws-cli/2.31.0 Python/3.13", "ok", ""),
        ("aws-cli/1.45.2 Python/3.11", "missing", "2.15 or newer"),
        ("something else", "warning", "2.15 or newer"),
        (None, "missing", "install aws 2.15"),
    ],
)
def test_tools_are_looked_for_and_their_versions_compared(
    answer: str | None, state: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer is not None:
        (tmp_path / "aws").write_text(f"#!/bin/sh\necho '{answer}'\n")
        (tmp_path / "aws").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = check_tools(["aws"])
    assert state == found.state
    assert word in found.remedy


@pytest.mark.parametrize(
    ("name", "folder", "key"),
    [
        ("a.safetensors", "Stable-diffusion", "Stable-diffusion/a.safetensors"),
        ("civitai", "Stable-diffusion", "Stable-diffusion/civitai.ckpt"),
        ("x.pth", "ESRGAN", "ESRGAN/x.pth"),
        ("e.pt", "embeddings", "embeddings/e.pt"),
    ],
)
def test_models_go_into_the_guides_folders(name: str, folder: str, key: str) -> None:
    assert key == model_key(Path(name), folder)
    assert 15 == len(FOLDERS)


@pytest.mark.parametrize(
    ("name", "folder", "hint"),
    [
        ("a.safetensors", "lora", "Did you mean Lora?"),
        ("a.safetensors", "models", "There are CLIP,"),
        ("a.png", "Lora", "In Lora belong files of .safetensors"),
        ("a.pth", "Stable-diffusion", "In Stable-diffusion belong files of .safetensors, .ckpt."),
    ],
)
def test_what_is_no_model_is_refused_with_a_hint(name: str, folder: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        model_key(Path(name), folder)
    assert (caught.value.hint or "").startswith(hint)


def test_a_model_that_is_there_is_not_uploaded_again(tmp_path: Path) -> None:
    make_bucket()
    model = tmp_path / "a.ckpt"
    model.write_bytes(b"1234")
    moved: list[int] = []
    s3 = made("s3", "us-west-2")
    assert upload(s3, model, "models", "Lora/a.ckpt", moved.append)
    assert not upload(s3, model, "models", "Lora/a.ckpt", moved.append)
    assert [4] == moved
