"""Where moto 5.2.5 differs from AWS in what Darkroom's templates use, and how that is mended.

- A failure names the resource it happened at, and is an answer of the API rather than a server error.
- A template that is JSON is read as JSON (reading it as YAML takes seconds).
- `AWS::NoValue` disappears from lists, not only from mappings.
- `Ref` of an event bus or archive is its name; `Fn::GetAtt` knows what `_ATTRIBUTES` lists, and the outputs of a
  nested stack.
- Roles get their managed policies, tables their time to live, unnamed parameters a name, and state machines the
  engine that runs them.
- Models are not kept for moto's dashboard, which would hold every message ever sent.
- An upload that is not under way is one that S3 does not find, not a server error.
- Sending a message does not count those in the queue (see `QueueAttributes`).
- A stream's `GetRecords` waits a moment for records, so that its readers hear of each at once and ask seldom.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property, wraps
from threading import Condition, Lock
from time import time
from typing import Any

from moto.cloudformation import models as cloudformation
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import (
    CloudFormationError,
    UnformattedGetAttTemplateException,
    ValidationError,
)
from moto.core.common_models import BaseModel
from moto.core.config import default_user_config
from moto.core.exceptions import ServiceException
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import StreamShard, Table
from moto.dynamodb.responses import DynamoHandler
from moto.dynamodbstreams.models import ShardIterator
from moto.events.models import Archive, EventBus
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, Role, iam_backends
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend
from moto.sns.models import Topic
from moto.sqs import models as sqs
from moto.sqs.models import Queue
from moto.ssm.models import Parameter
from moto.stepfunctions import models as stepfunctions
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

Moto = Any
"""What moto hands over and gets back: its models, templates and arguments."""

_ATTRIBUTES: dict[Any, dict[str, Callable[[Any], str]]] = {
    Parameter: {"Type": lambda parameter: parameter.parameter_type, "Value": lambda parameter: parameter.value},
    Queue: {"QueueUrl": lambda queue: queue.physical_resource_id},
    stepfunctions.StateMachine: {"Arn": lambda machine: machine.arn},
    Topic: {"TopicArn": lambda topic: topic.arn},
}

_TABLES = Lock()
_STREAMS = Condition()
_STREAM_SECONDS = 2.0  # that `GetRecords` waits


class QueueAttributes(Mapping[str, Moto]):
    """A queue's attributes, read when asked for.

    moto reads all of them several times for each message that is sent or received, and three of them count the
    messages, so that a queue grows slower with its length.
    """

    def __init__(self, queue: Queue, read: Callable[[Queue], dict[str, Moto]]) -> None:
        """`read` returns all attributes."""
        self._queue = queue
        self._read = read

    @cached_property
    def _all(self) -> dict[str, Moto]:
        return self._read(self._queue)

    def __getitem__(self, name: str) -> Moto:
        if name == "MessageRetentionPeriod":
            return getattr(self._queue, "message_retention_period")  # noqa: B009  moto sets it by name
        if name == "ContentBasedDeduplication" and not self._queue.fifo_queue:
            raise KeyError(name)
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


class ResourceFailedError(CloudFormationError):
    """A resource could not be created."""

    code = "ValidationError"


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the template defines no {error}"
    return getattr(error, "message", None) or f"{type(error).__name__}: {error}"


def _create_resource(create: Callable[..., Any]) -> Callable[..., Any]:
    def create_resource(logical_id: str, resource: dict[str, Any], *args: Moto, **kwargs: Moto) -> Moto:
        try:
            return create(logical_id, resource, *args, **kwargs)
        except ResourceFailedError:  # of a resource that this one refers to
            raise
        except Exception as error:
            raise ResourceFailedError(f"{logical_id} ({resource['Type']}): {_reason(error)}") from error

    return create_resource


def _create_stack(create: Callable[..., Any]) -> Callable[..., Any]:
    def create_stack(*args: Moto, **kwargs: Moto) -> Moto:
        try:
            return create(*args, **kwargs)
        except ServiceException:
            raise
        except Exception as error:
            raise ValidationError(message=_reason(error)) from error

    return create_stack


def _clean(clean: Callable[..., Any]) -> Callable[..., Any]:
    def clean_json(value: Moto, resources: Moto) -> Moto:
        cleaned = clean(value, resources)
        return [item for item in cleaned if item is not None] if isinstance(value, list) else cleaned

    return clean_json


def _with_attributes(model: Moto, extra: dict[str, Callable[[Any], str]]) -> None:
    has, get = model.has_cfn_attr, getattr(model, "get_cfn_attribute", None)

    def get_cfn_attribute(resource: Moto, name: str) -> Moto:
        if name in extra:
            return extra[name](resource)
        if get is None:
            raise UnformattedGetAttTemplateException
        return get(resource, name)

    model.has_cfn_attr = staticmethod(lambda attr: attr in extra or bool(has(attr)))
    model.get_cfn_attribute = get_cfn_attribute


def _get_stack_attribute(stack: cloudformation.Stack, name: str) -> Moto:
    output = name.removeprefix("Outputs.")
    if output == name or output not in stack.output_map.outputs:
        raise UnformattedGetAttTemplateException
    found = stack.output_map[output]
    return found.value if found else None


@cache
def _managed_policies() -> dict[str, Any]:
    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


def _attach_managed_policies(role: Role, properties: dict[str, Any], account: str, region: str) -> None:
    backend = iam_backends[account][role.partition]
    for arn in properties.get("ManagedPolicyArns", []):
        name = arn.rsplit("/", maxsplit=1)[-1]
        if arn not in backend.managed_policies and name in _managed_policies():
            policy = AWSManagedPolicy.from_data(name, account, region, _managed_policies()[name])
            backend.managed_policies[policy.arn] = policy
        backend.attach_role_policy(arn, role.name)


def _set_time_to_live(table: Table, properties: dict[str, Any], account: str, region: str) -> None:
    if specification := properties.get("TimeToLiveSpecification"):
        dynamodb_backends[account][region].update_time_to_live(table.name, specification)


def _after_creation(model: Moto, complete: Callable[..., None]) -> None:
    create = model.create_from_cloudformation_json

    def create_from_cloudformation_json(
        _: Moto, /, name: str, template: dict[str, Any], account_id: str, region_name: str, **kwargs: Moto
    ) -> Moto:
        if "Name" not in template["Properties"] and model is Parameter:  # moto names every other type itself
            template["Properties"]["Name"] = name
        resource = create(name, template, account_id, region_name, **kwargs)
        complete(resource, template["Properties"], account_id, region_name)
        return resource

    model.create_from_cloudformation_json = classmethod(create_from_cloudformation_json)


def _parse_template(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse_template(template: str) -> Moto:
        try:
            return json.loads(template)
        except ValueError:
            return parse(template)

    return parse_template


def _complete_upload(complete: Callable[..., Any]) -> Callable[..., Any]:
    def complete_multipart_upload(backend: S3Backend, bucket_name: str, multipart_id: str, body: Moto) -> Moto:
        if multipart_id not in backend.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(multipart_id)
        return complete(backend, bucket_name, multipart_id, body)

    return complete_multipart_upload


def _create_archive(create: Callable[..., Archive]) -> Callable[..., Archive]:
    """Moto hands an archive's pattern on as CloudFormation has it, an object, where it wants text."""

    def create_from_cloudformation_json(name: str, definition: Moto, *rest: Any, **more: Any) -> Archive:  # noqa: ANN401  moto's own
        properties = definition["Properties"]
        pattern = properties.get("EventPattern")
        if isinstance(pattern, dict):
            definition = {**definition, "Properties": {**properties, "EventPattern": json.dumps(pattern)}}
        return create(name, definition, *rest, **more)

    return create_from_cloudformation_json


def _one_at_a_time(call: Callable[..., Any]) -> Callable[..., Any]:
    """DynamoDB checks a condition and writes in one step, and nobody reads half of a write; moto's threads can."""

    @wraps(call)
    def locked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  moto's own
        with _TABLES:
            return call(*args, **kwargs)

    return locked


def _add_record(add: Callable[..., None]) -> Callable[..., None]:
    def add_record(shard: StreamShard, *items: Moto) -> None:
        with _STREAMS:
            add(shard, *items)
            _STREAMS.notify_all()

    return add_record


def _get_records(get: Callable[..., Moto]) -> Callable[..., Moto]:
    def get_records(iterator: ShardIterator, limit: int = 1000) -> Moto:
        shard = iterator.stream_shard
        read = iterator.sequence_number - shard.starting_sequence_number
        with _STREAMS:
            _STREAMS.wait_for(lambda: len(shard.items) > read, _STREAM_SECONDS)
        return get(iterator, limit)

    return get_records


def install() -> None:
    """Mends moto, for this process."""
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    read_attributes: Any = vars(Queue)["attributes"].fget
    by_name = property(lambda resource: resource.name)
    patches: tuple[tuple[Any, str, Any], ...] = (
        (BaseModel, "__new__", lambda cls, *_args, **_kwargs: object.__new__(cls)),
        (ShardIterator, "get", _get_records(ShardIterator.get)),
        (StreamShard, "add", _add_record(StreamShard.add)),
        (DynamoHandler, "call_action", _one_at_a_time(DynamoHandler.call_action)),
        (parsing, "clean_json", _clean(parsing.clean_json)),
        (parsing, "parse_and_create_resource", _create_resource(parsing.parse_and_create_resource)),
        (
            cloudformation.CloudFormationBackend,
            "create_stack",
            _create_stack(cloudformation.CloudFormationBackend.create_stack),
        ),
        (cloudformation.Stack, "get_cfn_attribute", _get_stack_attribute),
        (
            cloudformation.Stack,
            "parse_template",
            staticmethod(_parse_template(cloudformation.Stack.parse_template)),
        ),
        (Queue, "attributes", property(lambda queue: QueueAttributes(queue, read_attributes))),
        (
            sqs,
            "unix_time",
            time,
        ),  # moto's way through dates takes twenty times as long, and is asked for each message
        (sqs, "unix_time_millis", lambda: time() * 1000),
        (S3Backend, "complete_multipart_upload", _complete_upload(S3Backend.complete_multipart_upload)),
        (EventBus, "physical_resource_id", by_name),
        (Archive, "physical_resource_id", by_name),
        (
            Archive,
            "create_from_cloudformation_json",
            staticmethod(_create_archive(Archive.create_from_cloudformation_json)),
        ),
        (stepfunctions, "stepfunctions_backends", stepfunctions_parser_backends),
    )
    for owner, name, value in patches:
        setattr(owner, name, value)
    for model, extra in _ATTRIBUTES.items():
        _with_attributes(model, extra)
    _after_creation(Parameter, lambda *_: None)
    _after_creation(Role, _attach_managed_policies)
    _after_creation(Table, _set_time_to_live)
