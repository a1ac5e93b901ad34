"""Turns what the emulator recorded (see `aws.types`) into what the local cloud hosts (see `resources`)."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom_local.resources import EventSource, Function, GatewayResponse, RestApi, Route, Schedule
from darkroom_local.template import text

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_METHODS = {"delete", "get", "head", "options", "patch", "post", "put", "x-amazon-apigateway-any-method"}
_FUNCTION_URI = re.compile(r":function:([^/:]+)")


@dataclass(frozen=True)
class Recorded:
    """One resource with its properties resolved; `hosted` tells whether the local cloud runs its type."""

    stack: str
    type: str
    id: str
    logical_id: str
    attributes: Mapping[str, str]
    properties: Mapping[str, Any]
    hosted: bool


def _of(recorded: list[Recorded], kind: str) -> Iterator[Recorded]:
    return (resource for resource in recorded if resource.type == kind)


def read_functions(recorded: list[Recorded]) -> tuple[Function, ...]:
    """Returns the functions; an asynchronous failure ends where the function or its invoke configuration says."""
    failures = {
        _function_name(config.properties["FunctionName"]): config.properties["DestinationConfig"]["OnFailure"][
            "Destination"
        ]
        for config in _of(recorded, "AWS::Lambda::EventInvokeConfig")
        if "OnFailure" in config.properties.get("DestinationConfig", {})
    }
    return tuple(_function(resource, failures) for resource in _of(recorded, "AWS::Lambda::Function"))


def _function(resource: Recorded, failures: Mapping[str, str]) -> Function:
    properties = resource.properties
    reserved = properties.get("ReservedConcurrentExecutions")
    variables = properties.get("Environment", {}).get("Variables", {})
    return Function(
        name=resource.id,
        arn=resource.attributes["Arn"],
        handler=properties["Handler"],
        code=Path(properties["Code"]["S3Key"]),
        role_arn=properties["Role"],
        environment={key: text(value) for key, value in variables.items()},
        timeout=int(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
        dead_letter_arn=properties.get("DeadLetterConfig", {}).get("TargetArn") or failures.get(resource.id),
        reserved_concurrency=None if reserved is None else int(reserved),
    )


def _function_name(reference: str) -> str:
    match = _FUNCTION_URI.search(reference)
    return match[1] if match else reference


def _limit(value: int | str | None) -> int | None:
    return None if value is None or int(value) < 0 else int(value)


def read_event_sources(recorded: list[Recorded]) -> tuple[EventSource, ...]:
    """Returns the event source mappings that are enabled."""
    mappings = _of(recorded, "AWS::Lambda::EventSourceMapping")
    return tuple(_event_source(it.properties) for it in mappings if text(it.properties.get("Enabled")) != "false")


def _event_source(properties: Mapping[str, Any]) -> EventSource:
    source = properties["EventSourceArn"]
    filters = properties.get("FilterCriteria", {}).get("Filters", [])
    concurrency = properties.get("ScalingConfig", {}).get("MaximumConcurrency")
    return EventSource(
        function_name=_function_name(properties["FunctionName"]),
        source_arn=source,
        batch_size=int(properties.get("BatchSize", 10 if ":sqs:" in source else 100)),
        window_seconds=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
        filters=tuple(json.loads(it["Pattern"]) for it in filters),
        partial_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
        maximum_concurrency=_limit(concurrency),
        starting_position=properties.get("StartingPosition", "LATEST"),
        maximum_retries=_limit(properties.get("MaximumRetryAttempts")),
        maximum_record_age=_limit(properties.get("MaximumRecordAgeInSeconds")),
        bisect_on_error=text(properties.get("BisectBatchOnFunctionError")) == "true",
        on_failure_arn=properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
    )


def read_schedules(recorded: list[Recorded]) -> tuple[Schedule, ...]:
    """Returns the enabled rules and schedules that invoke functions.

    Raises:
        ValueError: One has no fixed rate: the local cloud keeps no calendar.
    """
    found = []
    for kind in ("AWS::Events::Rule", "AWS::Scheduler::Schedule"):
        for resource in _of(recorded, kind):
            properties = resource.properties
            if properties.get("State") == "DISABLED":
                continue
            match = _RATE.fullmatch(properties["ScheduleExpression"])
            if match is None:
                raise ValueError(f"{resource.logical_id}: {properties['ScheduleExpression']} is no fixed rate")
            for target in properties.get("Targets") or [properties["Target"]]:
                if ":lambda:" not in target["Arn"]:
                    raise ValueError(f"{resource.logical_id}: the local cloud schedules functions only")
                every = int(match[1]) * _SECONDS[match[2]]
                payload = json.loads(target["Input"]) if "Input" in target else None
                found.append(Schedule(_function_name(target["Arn"]), every, payload))
    return tuple(found)


def read_rest_apis(recorded: list[Recorded]) -> tuple[RestApi, ...]:
    """Returns the REST APIs, each with its first stage and that stage's usage plan."""
    return tuple(_rest_api(resource, recorded) for resource in _of(recorded, "AWS::ApiGateway::RestApi"))


def _rest_api(api: Recorded, recorded: list[Recorded]) -> RestApi:
    def belonging(kind: str) -> Iterator[Mapping[str, Any]]:
        return (it.properties for it in _of(recorded, kind) if it.properties.get("RestApiId") == api.id)

    body = api.properties.get("Body", {})
    responses = {
        kind: _gateway_response(it.get("statusCode"), it.get("responseParameters"), it.get("responseTemplates"))
        for kind, it in body.get("x-amazon-apigateway-gateway-responses", {}).items()
    }
    for it in belonging("AWS::ApiGateway::GatewayResponse"):
        kind = it["ResponseType"]
        responses[kind] = _gateway_response(
            it.get("StatusCode"), it.get("ResponseParameters"), it.get("ResponseTemplates")
        )
    plan = next(
        (
            it
            for it in _of(recorded, "AWS::ApiGateway::UsagePlan")
            if any(stage["ApiId"] == api.id for stage in it.properties.get("ApiStages", []))
        ),
        None,
    )
    throttle = plan.properties.get("Throttle", {}) if plan else {}
    return RestApi(
        api_id=api.id,
        stage=next((it["StageName"] for it in belonging("AWS::ApiGateway::Stage")), ""),
        routes=tuple(_routes(body)),
        responses=responses,
        keys=_keys(recorded, plan.id) if plan else {},
        rate=float(throttle["RateLimit"]) if "RateLimit" in throttle else None,
        burst=int(throttle["BurstLimit"]) if "BurstLimit" in throttle else None,
    )


def _keys(recorded: list[Recorded], plan_id: str) -> dict[str, str]:
    members = {
        it.properties["KeyId"]
        for it in _of(recorded, "AWS::ApiGateway::UsagePlanKey")
        if it.properties["UsagePlanId"] == plan_id
    }
    return {
        it.properties["Value"]: it.id
        for it in _of(recorded, "AWS::ApiGateway::ApiKey")
        if it.id in members and text(it.properties.get("Enabled")) == "true"
    }


def _routes(body: Mapping[str, Any]) -> Iterator[Route]:
    for path, methods in body.get("paths", {}).items():
        for name, method in methods.items():
            uri = method.get("x-amazon-apigateway-integration", {}).get("uri", "") if name in _METHODS else ""
            if match := _FUNCTION_URI.search(uri):
                security = method.get("security", body.get("security", []))
                verb = "ANY" if name.startswith("x-") else name.upper()
                yield Route(verb, path, match[1], key_required=any("api_key" in it for it in security))


def _gateway_response(
    status: int | str | None, parameters: Mapping[str, str] | None, templates: Mapping[str, str] | None
) -> GatewayResponse:
    headers = {
        name.removeprefix("gatewayresponse.header."): value.strip("'")
        for name, value in (parameters or {}).items()
        if name.startswith("gatewayresponse.header.")
    }
    return GatewayResponse(int(status or 0), headers, templates or {})  # 0: the refusal's own
