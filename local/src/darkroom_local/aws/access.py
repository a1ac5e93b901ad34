"""IAM for the emulator: what a request does to which resources, and whether its principal's policies allow it.

moto 5.2.5 checks signatures and actions, but asks most policies about the resource `*`, so that a statement about
one queue never allows anything; it takes an `Allow` whose condition it cannot verify for a `Deny`, cannot read
presigned URLs, computes wrong signatures of requests without a body, and lets no service assume a role. `install`
replaces that one decision:

- The actions and ARNs come from the request itself (`requested_access`): batches and transactions need what AWS
  documents for them, e.g. `dynamodb:PutItem` on each table of a `TransactWriteItems`.
- Where a request names no resource (a task token, a shard iterator), an action allowed on any resource is allowed.
- Conditions are not evaluated (see `policies`).
- Resource policies and trust policies are not evaluated: whoever may `sts:AssumeRole` stands for the AWS service.
- A presigned URL is checked for its signer's permissions and its expiry, not for its signature.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

# moto keeps a request's parts and decisions private, and this module replaces just those:
# ruff: noqa: SLF001

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.awsrequest import AWSRequest
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.core.responses import BaseResponse
from moto.iam.access_control import IAMRequest, IAMRequestBase
from moto.iam.models import Policy
from moto.s3.exceptions import S3AccessDeniedError
from werkzeug.exceptions import HTTPException

from darkroom_local.aws.policies import ANY, Access, as_list, is_allowed

_RENAMED = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:HeadBucket": "s3:ListBucket",
    "sns:PublishBatch": "sns:Publish",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}
_TRANSACTION_ACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "ConditionCheck": "ConditionCheckItem",
}


def _named(prefix: str, value: object) -> str:
    return str(value) if str(value).startswith("arn:") else f"{prefix}{value}"


def _sqs(parameters: Mapping[str, Any], prefix: str) -> Iterator[str]:
    if name := parameters.get("QueueUrl") or parameters.get("QueueName"):
        yield prefix + str(name).rsplit("/", maxsplit=1)[-1]


def _sns(parameters: Mapping[str, Any], prefix: str) -> Iterator[str]:
    if name := parameters.get("TopicArn") or parameters.get("TargetArn") or parameters.get("Name"):
        yield _named(prefix, name)


def _events(parameters: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for entry in parameters.get("Entries", []):
        yield _named(f"{prefix}event-bus/", entry.get("EventBusName", "default"))


def _ssm(parameters: Mapping[str, Any], prefix: str) -> Iterator[str]:
    names = parameters.get("Names") or [parameters.get("Name") or parameters.get("Path")]
    yield from (_named(f"{prefix}parameter/", str(name).lstrip("/")) for name in names if name)


def _lambda(parameters: Mapping[str, Any], prefix: str) -> Iterator[str]:
    if match := re.search(r"/functions/([^/]+)", parameters.get("path", "")):
        yield _named(f"{prefix}function:", unquote(match[1]))


def _of_arn(*names: str) -> Callable[[Mapping[str, Any], str], Iterator[str]]:
    return lambda parameters, _: (str(parameters[name]) for name in names if name in parameters)


_RESOURCES: dict[str, Callable[[Mapping[str, Any], str], Iterator[str]]] = {
    "events": _events,
    "lambda": _lambda,
    "sns": _sns,
    "sqs": _sqs,
    "ssm": _ssm,
    "states": _of_arn("stateMachineArn", "executionArn"),
    "sts": _of_arn("RoleArn"),
}


def _dynamodb(action: str, parameters: Mapping[str, Any], prefix: str) -> Iterator[Access]:
    prefix += "table/"
    if tables := parameters.get("RequestItems"):
        yield from (Access(action, _named(prefix, name)) for name in tables)
    elif items := parameters.get("TransactItems"):
        for item in items:
            for kind, of in item.items():
                yield Access(f"dynamodb:{_TRANSACTION_ACTIONS[kind]}", _named(prefix, of["TableName"]))
    elif name := parameters.get("TableName"):
        index = parameters.get("IndexName")
        yield Access(action, _named(prefix, name) + (f"/index/{index}" if index else ""))
    else:
        yield Access(action, str(parameters.get("StreamArn", ANY)))


def _parameters(request: IAMRequestBase) -> dict[str, Any]:
    body = request._body or b""
    if body.startswith(b"{"):
        parsed: dict[str, Any] = json.loads(body)
        return parsed
    data: dict[str, Any] = dict(request._data)  # lists of values, though moto says otherwise
    form = {key: value[0] if isinstance(value, list) else value for key, value in data.items()}
    return {**form, "path": request._path}


def requested_access(request: IAMRequestBase, resource: str = "*") -> list[Access]:
    """Returns every action and resource that a request needs to be allowed.

    `resource` is what moto already knows: the bucket or object of an S3 request, else `*`.
    """
    action = _RENAMED.get(request._action, request._action)
    service, body = request._service, request._body
    if service == "s3":
        keys = re.findall(rb"<Key>(.*?)</Key>", body or b"") if action == "s3:DeleteObject" else []
        return [Access(action, f"{resource}/{key.decode()}") for key in keys] or [Access(action, resource)]
    prefix = f"arn:aws:{service}:{request._region}:{request.account_id}:"
    parameters = _parameters(request)
    if service == "dynamodb":
        return list(_dynamodb(action, parameters, prefix))
    find = _RESOURCES.get(service)
    arns = list(find(parameters, prefix)) if find else []
    return [Access(action, arn) for arn in arns or [ANY]]


@lru_cache(maxsize=512)
def _parsed(document: str) -> list[Mapping[str, Any]]:
    return as_list(json.loads(document)["Statement"])


def _statements(policies: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    for policy in policies:
        document = policy
        if isinstance(policy, Policy):
            document = next(version.document for version in policy.versions if version.is_default)
        elif isinstance(policy, dict) and "policy_document" in policy:
            document = policy["policy_document"]
        yield from _parsed(document) if isinstance(document, str) else as_list(document["Statement"])


def _check_action_permitted(request: IAMRequestBase, resource: str) -> None:
    if request._action == "sts:GetCallerIdentity":
        return
    statements = list(_statements(request._access_key.collect_policies()))
    if not all(is_allowed(statements, access) for access in requested_access(request, resource)):
        request._raise_access_denied()


def _presigned_headers(query: Mapping[str, list[str]]) -> dict[str, str] | None:
    """The headers that would say what a presigned URL says in its query; None where it is expired or unsigned."""
    if "X-Amz-Credential" in query:
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        expires = signed + timedelta(seconds=int(query["X-Amz-Expires"][0]))
        credential, token = query["X-Amz-Credential"][0], query.get("X-Amz-Security-Token")
    elif "AWSAccessKeyId" in query:
        expires = datetime.fromtimestamp(int(query["Expires"][0]), UTC)
        credential, token = f"{query['AWSAccessKeyId'][0]}/-/-/s3/-", query.get("x-amz-security-token")
    else:
        return None
    headers = {"Authorization": f"Credential={credential},"}
    return (
        (headers | ({"X-Amz-Security-Token": token[0]} if token else {})) if expires > datetime.now(UTC) else None
    )


def _authorize_presigned(response: BaseResponse, request_class: type[IAMRequestBase], resource: str) -> None:
    headers = _presigned_headers(parse_qs(urlsplit(response.uri).query))
    if headers is None:
        raise S3AccessDeniedError
    request = request_class(
        account_id=response.current_account,
        method=response.method,
        path=response.raw_path,
        data=response.data,
        body=b"",
        headers=headers,
        action=response._get_action(),
    )
    request.check_action_permitted(resource)


def _in_protocol_of(response: BaseResponse, error: HTTPException) -> HTTPException:
    """The error as the client can read it: moto writes XML for every service."""
    described: Any = error  # moto's own errors have a type and a message
    if isinstance(error, JsonRESTError) or not hasattr(error, "error_type") or _is_xml(response):
        return error
    kind = "AccessDeniedException" if isinstance(error, AccessDeniedError) else described.error_type
    return JsonRESTError(kind, described.message)


def _is_xml(response: BaseResponse) -> bool:
    """Tells whether a request is of the query protocol or S3's, both answered in XML."""
    content = response.headers.get("Content-Type", "")
    return response.service_name == "s3" or content.startswith("application/x-www-form-urlencoded")


def install() -> None:
    """Puts these decisions in the place of moto's, for this process."""
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def authorize_signed_or_presigned(
        response: BaseResponse, request_class: type[IAMRequestBase] = IAMRequest, resource: str = "*"
    ) -> None:
        enforced = ActionAuthenticatorMixin.request_count >= settings.INITIAL_NO_AUTH_ACTION_COUNT
        if enforced and "Authorization" not in response.headers:
            _authorize_presigned(response, request_class, resource)
            return
        try:
            authorize(response, request_class, resource)
        except HTTPException as error:
            raise _in_protocol_of(response, error) from error

    create_request = IAMRequestBase._create_aws_request

    def create_request_with_its_body(request: IAMRequestBase) -> AWSRequest:
        created = create_request(request)
        if int(request._headers.get("Content-Length") or 0) == 0:
            created.data = b""  # moto would sign the headers
        return created

    for owner, name, function in (
        (IAMRequestBase, "_create_aws_request", create_request_with_its_body),
        (IAMRequestBase, "check_action_permitted", _check_action_permitted),
        (ActionAuthenticatorMixin, "_authenticate_and_authorize_action", authorize_signed_or_presigned),
    ):
        setattr(owner, name, function)
