"""What the emulator calls that lives outside it: functions, and the rules and state machines that reach them.

moto 5.2.5 would run functions in Docker, call them from state machines with made-up credentials, and fails on rules
whose target is a topic, a state machine or a function. Here an invocation goes to the functions' host, which speaks
Lambda's own Invoke API; a state machine calls with credentials of its own role.
"""

import json
import sys
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from http.client import HTTPConnection
from threading import Lock, Thread
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
from botocore.config import Config
from moto.awslambda.models import LambdaBackend
from moto.core.exceptions import ServiceException
from moto.core.utils import iso_8601_datetime_without_milliseconds, utcfromtimestamp
from moto.events.models import Rule
from moto.events.utils import EventTemplateParser
from moto.sns.models import sns_backends
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.sts.models import sts_backends
from moto.utilities.arns import parse_arn

Moto = Any
"""What moto hands over and gets back."""

_FUNCTION_TIMEOUT = 905  # seconds; a function has 900 at most
_CONNECTIONS = 100  # at once of one state machine to one service
_FORWARDED = ("X-Amz-Invocation-Type", "X-Amz-Log-Type", "X-Amz-Client-Context")
_RETURNED = ("X-Amz-Function-Error", "X-Amz-Executed-Version", "X-Amz-Log-Result")
_EVENT_FIELDS = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")


class FunctionCallError(ServiceException):
    """The functions' host refused an invocation."""

    def __init__(self, code: str, message: str) -> None:
        """Keeps Lambda's own error code, by which callers decide."""
        super().__init__(message)
        self.code = code


class Functions:
    """The functions' host, once it has said where it listens (`url`)."""

    url: str | None = None

    def invoke(self, name: str, body: bytes | str, headers: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
        """Invokes a function and returns its payload, and the headers that qualify it.

        Raises:
            FunctionCallError: No host has been named, it knows no such function, or it is throttling.
        """
        if self.url is None:
            raise FunctionCallError("ServiceException", "no host of functions has been named yet")
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=_FUNCTION_TIMEOUT)
        try:
            path = f"/2015-03-31/functions/{quote(name.rsplit(':', maxsplit=1)[-1])}/invocations"
            forwarded = {key: headers[key] for key in _FORWARDED if key in headers}
            payload = body.encode() if isinstance(body, str) else body
            connection.request("POST", path, payload, {"Content-Type": "application/json", **forwarded})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 400:  # noqa: PLR2004  HTTP's first error
            code = response.headers.get("X-Amzn-ErrorType", "ServiceException").split(":")[0]
            raise FunctionCallError(code, answer.decode(errors="replace"))
        returned = {key: response.headers[key] for key in _RETURNED if key in response.headers}
        return answer, returned


FUNCTIONS = Functions()


def _invoke(
    _: LambdaBackend,
    function_name: str,
    qualifier: str | None,  # noqa: ARG001  functions have one version here
    body: bytes | str,
    headers: Mapping[str, str],
    response_headers: dict[str, str],
) -> bytes:
    payload, returned = FUNCTIONS.invoke(function_name, body, headers)
    response_headers.update(returned)
    return payload


@lru_cache
def _credentials(role_arn: str, region: str) -> dict[str, str]:
    role = sts_backends[role_arn.split(":")[4]]["aws"].assume_role(
        region_name=region,
        role_session_name="states",
        role_arn=role_arn,
        policy="",
        duration=3600,
        external_id="",
    )
    return {
        "aws_access_key_id": role.access_key_id,
        "aws_secret_access_key": role.secret_access_key,
        "aws_session_token": role.session_token,
    }


def _client_for(endpoint_url: str) -> Callable[..., Any]:
    lock = Lock()  # clients are for all threads, but the session that makes them is not

    @lru_cache  # making one takes as long as ten calls
    def client_of(region: str, service: str, role_arn: str) -> Moto:
        create: Any = boto3.client  # its stubs know services by literal names only
        return create(
            service,
            region_name=region,
            endpoint_url=endpoint_url,
            config=Config(
                parameter_validation=False,
                retries={"total_max_attempts": 1},
                read_timeout=_FUNCTION_TIMEOUT,
                max_pool_connections=_CONNECTIONS,
            ),
            **_credentials(role_arn, region),
        )

    def boto_client_for(region: str, service: str, state_credentials: Moto = None) -> Moto:
        with lock:
            return client_of(region, service, state_credentials.role_arn)

    return boto_client_for


def _transformed(target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    if "Input" in target:
        return str(target["Input"])
    transformer = target.get("InputTransformer", {})
    parse: Any = EventTemplateParser.parse
    parsed = parse(transformer.get("InputTemplate"), transformer.get("InputPathsMap"), dict(event))
    if isinstance(parsed, dict) and isinstance(parsed.get("time"), int | float):
        parsed["time"] = iso_8601_datetime_without_milliseconds(utcfromtimestamp(parsed["time"]))
    return json.dumps(parsed)


def _deliver(rule: Rule, target: Mapping[str, Any], message: str) -> None:
    arn = parse_arn(target["Arn"])
    if arn.service == "sns":
        sns_backends[arn.account][arn.region].publish(message, target["Arn"])
    elif arn.service == "states":
        machines = stepfunctions_parser_backends[arn.account][arn.region]
        machines.start_execution(target["Arn"], str(uuid.uuid4()), message)
    else:
        headers = {"X-Amz-Invocation-Type": "Event"}
        Thread(
            target=FUNCTIONS.invoke,
            args=(target["Arn"], message, headers),
            name=f"rule-{rule.name}",
            daemon=True,
        ).start()


def _send_to_targets(send: Callable[..., None]) -> Callable[..., None]:
    def send_to_targets(rule: Rule, original_event: Moto, *args: Moto, **kwargs: Moto) -> None:
        if rule.state != "ENABLED" or not rule.event_pattern.matches_event(original_event):
            return
        targets = rule.targets
        ours = [target for target in targets if target["Arn"].split(":")[2] in {"lambda", "sns", "states"}]
        for target in ours:
            _deliver(rule, target, _transformed(target, original_event))
        if len(ours) < len(targets):
            rest = Rule.__new__(Rule)
            rest.__dict__ = {**rule.__dict__, "targets": [target for target in targets if target not in ours]}
            send(rest, original_event, *args, **kwargs)

    return send_to_targets


def _parse_event(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Without a transformer the whole event is the input: moto would fill it, textually, into a template."""

    def parse_event(input_template: str | None, input_paths_map: Moto, event: Mapping[str, Any]) -> Moto:
        if input_template is None:
            return {key: event[key] for key in _EVENT_FIELDS if key in event}
        return parse(input_template, input_paths_map, event)

    return parse_event


def install(endpoint_url: str) -> None:
    """Puts these calls in the place of moto's, for this process, whose server answers at `endpoint_url`."""
    patches: tuple[tuple[Any, str, Any], ...] = (
        (LambdaBackend, "invoke", _invoke),
        (Rule, "send_to_targets", _send_to_targets(Rule.send_to_targets)),
        (EventTemplateParser, "parse", staticmethod(_parse_event(EventTemplateParser.parse))),
    )
    for owner, name, value in patches:
        setattr(owner, name, value)
    original, client_for = boto_client.boto_client_for, _client_for(endpoint_url)
    for module in list(sys.modules.values()):  # every kind of task has imported it by name
        if vars(module).get("boto_client_for") is original:
            setattr(module, "boto_client_for", client_for)  # noqa: B010  mypy knows no such name in a module
