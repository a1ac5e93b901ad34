"""Deploys a SAM template to the emulated AWS, as `sam deploy` does to the real one."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from darkroom_local import recorded
from darkroom_local.resources import EventSource, Function, RestApi, Schedule
from darkroom_local.template import Template, TemplateError, translate

_LOG = logging.getLogger(__name__)
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_SESSION_SECONDS = 43200  # the longest that STS grants
# One attempt: a second one at creating what exists would hide the first one's error.
_ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=120)


class StackError(Exception):
    """A stack could not be created; the message names the resource and the reason."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack: its outputs, and what the local cloud has to host for it, those in it and those beside it.

    `administrator` holds credentials that may do everything, in boto3's terms.
    """

    name: str
    region: str
    endpoint_url: str
    outputs: Mapping[str, str]
    functions: tuple[Function, ...]
    event_sources: tuple[EventSource, ...]
    schedules: tuple[Schedule, ...]
    rest_apis: tuple[RestApi, ...]
    administrator: Mapping[str, str] = field(repr=False)

    def client(self, service: str) -> Any:  # noqa: ANN401  boto3 makes its clients at run time
        """Returns a boto3 client of the service with the administrator's credentials."""
        return _client(self._session, service, self.endpoint_url)

    def credentials(self, role_arn: str) -> dict[str, str]:
        """Assumes a role and returns its credentials as the environment variables of the AWS SDKs.

        They hold for twelve hours. Raises botocore's `ClientError` if there is no such role.
        """
        self.client("iam").get_role(RoleName=role_arn.rsplit("/", maxsplit=1)[-1])  # moto's STS assumes any name
        assumed = self.client("sts").assume_role(
            RoleArn=role_arn, RoleSessionName="local", DurationSeconds=_SESSION_SECONDS
        )["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
            "AWS_SESSION_TOKEN": assumed["SessionToken"],
        }

    def route_functions(self, url: str) -> None:
        """Tells the emulator where Lambda's Invoke API for the functions is served.

        State machines, rules and `lambda:InvokeFunction` go to
        `POST <url>/2015-03-31/functions/<name>/invocations` from then on.
        """
        _request(self.endpoint_url, "PUT", "/darkroom/functions", url)

    @cached_property
    def _session(self) -> boto3.Session:
        return _session(self.region, self.administrator)


def provision(
    endpoint_url: str, template_path: Path, stack_name: str, parameters: Mapping[str, str], region: str
) -> Stack:
    """Creates a stack from a SAM template and turns on the enforcement of IAM policies.

    Raises:
        TemplateError: The template or a parameter is wrong.
        StackError: A resource could not be created, or cannot be hosted locally.
    """
    template = translate(template_path, parameters, region)
    _request(endpoint_url, "POST", "/moto-api/reset-auth", "inf")  # there is no principal yet
    administrator = _create_administrator(endpoint_url, region)
    outputs = _create(endpoint_url, _session(region, administrator), stack_name, template)
    _request(endpoint_url, "POST", "/moto-api/reset-auth", "0")
    try:
        return Stack(
            name=stack_name,
            region=region,
            endpoint_url=endpoint_url,
            outputs=outputs,
            administrator=administrator,
            **_hosted(endpoint_url, stack_name),
        )
    except ValueError as error:
        raise StackError(f"{stack_name}: {error}") from error


def provision_beside(stack: Stack, template_path: Path, stack_name: str, parameters: Mapping[str, str]) -> Stack:
    """Creates a further stack in the same account; its name begins with the first one's and a hyphen.

    Returns the first stack, with all that has to be hosted for both.

    Raises:
        TemplateError: The template or a parameter is wrong.
        StackError: A resource could not be created, or cannot be hosted locally.
    """
    template = translate(template_path, parameters, stack.region)
    _create(stack.endpoint_url, _session(stack.region, stack.administrator), stack_name, template)
    try:
        return replace(stack, **_hosted(stack.endpoint_url, stack.name))
    except ValueError as error:
        raise StackError(f"{stack_name}: {error}") from error


def _create(endpoint_url: str, session: boto3.Session, stack_name: str, template: Template) -> dict[str, str]:
    """Creates a stack; returns its outputs."""
    _upload(_client(session, "s3", endpoint_url), template)
    cloudformation = _client(session, "cloudformation", endpoint_url)
    try:
        cloudformation.create_stack(
            StackName=stack_name,
            TemplateBody=json.dumps(template.body),
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value} for name, value in template.parameters.items()
            ],
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        raise StackError(f"{stack_name}: {error.response['Error']['Message']}") from error
    (description,) = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    return {it["OutputKey"]: it["OutputValue"] for it in description.get("Outputs", [])}


def _hosted(endpoint_url: str, stack_name: str) -> dict[str, Any]:
    """What the local cloud has to host for a stack, for those it nests, and for those beside it.

    Raises:
        ValueError: It cannot host something.
    """
    found = [
        recorded.Recorded(**it)
        for it in json.loads(_request(endpoint_url, "GET", "/darkroom/resources"))
        if it["stack"] == stack_name or it["stack"].startswith(f"{stack_name}-")
    ]
    without_effect = sorted({it.type for it in found if not it.hosted})
    _LOG.debug("resource_types_not_simulated", extra={"types": without_effect})
    return {
        "functions": recorded.read_functions(found),
        "event_sources": recorded.read_event_sources(found),
        "schedules": recorded.read_schedules(found),
        "rest_apis": recorded.read_rest_apis(found),
    }


def _session(region: str, credentials: Mapping[str, str]) -> boto3.Session:
    create: Any = boto3.Session  # its stubs want each keyword by name
    session: boto3.Session = create(region_name=region, **credentials)
    return session


def _client(session: boto3.Session, service: str, endpoint_url: str) -> Any:  # noqa: ANN401  likewise
    create: Any = session.client  # its stubs know services by literal names only
    return create(service, endpoint_url=endpoint_url, config=_ONCE)


def _request(endpoint_url: str, method: str, path: str, body: str | None = None) -> str:
    connection = HTTPConnection(urlsplit(endpoint_url).netloc, timeout=30)
    try:
        connection.request(method, path, body)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _create_administrator(endpoint_url: str, region: str) -> dict[str, str]:
    anonymous = {"aws_access_key_id": "AKIAANONYMOUS", "aws_secret_access_key": "none"}
    iam = _client(_session(region, anonymous), "iam", endpoint_url)
    name = f"darkroom-administrator-{uuid4().hex}"  # there may be other stacks, and a user has two keys at most
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="everything", PolicyDocument=json.dumps(_EVERYTHING))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def _upload(s3: Any, template: Template) -> None:  # noqa: ANN401  likewise
    """Puts nested templates, and what they nest, where their parents' `TemplateURL` looks for them."""
    for url, nested in template.nested.items():
        bucket, _, key = urlsplit(url).path.lstrip("/").partition("/")
        if s3.meta.region_name == "us-east-1":
            s3.create_bucket(Bucket=bucket)
        else:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(nested.body).encode())
        _upload(s3, nested)


__all__ = ["Stack", "StackError", "TemplateError", "provision", "provision_beside"]
