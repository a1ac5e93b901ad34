"""What the local cloud hosts itself, as the template declares it, with every reference resolved.

`stack` fills these from the deployed template; `functions`, `events` and `gateway` run them. Everything
else (queues, topics, tables, buckets, roles …) lives in the emulated AWS.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Function:
    """An `AWS::Lambda::Function`.

    `code` is the folder its `CodeUri` names; `timeout` is in seconds, `memory` in MiB; `dead_letter_arn` is the
    queue or topic that asynchronous invocations end in when every attempt failed.
    """

    name: str
    arn: str
    handler: str
    code: Path
    role_arn: str
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 3
    memory: int = 128
    dead_letter_arn: str | None = None
    reserved_concurrency: int | None = None


@dataclass(frozen=True)
class EventSource:
    """An `AWS::Lambda::EventSourceMapping` of a queue or a table's stream.

    `maximum_retries` and `maximum_record_age` (seconds) hold for streams; None means without limit, as on AWS.
    `filters` are event patterns of which one must match; a record that matches none is dropped.
    """

    function_name: str
    source_arn: str
    batch_size: int = 10
    window_seconds: float = 0
    filters: tuple[Mapping[str, Any], ...] = ()
    partial_failures: bool = False
    maximum_concurrency: int | None = None
    starting_position: str = "LATEST"
    maximum_retries: int | None = None
    maximum_record_age: int | None = None
    bisect_on_error: bool = False
    on_failure_arn: str | None = None


@dataclass(frozen=True)
class Schedule:
    """A rule or schedule that invokes a function at a fixed rate (`every` seconds)."""

    function_name: str
    every: float
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Route:
    """One method of one path of a REST API, integrated with a function by proxy."""

    method: str
    path: str
    function_name: str
    key_required: bool = False


@dataclass(frozen=True)
class GatewayResponse:
    """What the gateway itself answers in one case (`INVALID_API_KEY`, `THROTTLED`, …)."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RestApi:
    """An `AWS::ApiGateway::RestApi` with its stage, usage plan and keys.

    `keys` maps each key's value to its id. `rate` is in requests a second and `burst` in requests, for each key;
    None means no throttling.
    """

    api_id: str
    stage: str
    routes: tuple[Route, ...]
    responses: Mapping[str, GatewayResponse] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    rate: float | None = None
    burst: int | None = None
