"""The API function in this process, called as API Gateway calls it, against an emulated AWS over HTTP."""

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import boto3
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "functions" / "api"
TEMPLATE = ROOT / "sam" / "template.yaml"
BUCKET = "output-bucket"
OPERATOR = "operator-key"
RUNTIME = {
    "name": "sdruntime",
    "type": "sdwebui",
    "model": "v1-5-pruned-emaonly.safetensors",
    "upscalers": ["Lanczos"],
    "samplers": ["Euler a"],
}

MakeClient = Callable[[str], Any]


@dataclass(frozen=True)
class Answer:
    """What the function answered."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Context:
    """What Lambda tells a function of its invocation."""

    function_name: str = "api"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:api"
    aws_request_id: str = "request"
    remaining: float = 30.0

    def get_remaining_time_in_millis(self) -> int:
        """How long the function may still run."""
        return int(self.remaining * 1000)


@dataclass(frozen=True)
class Api:
    """The function, its table and its clients. `table` is its name."""

    app: Any
    table: str
    client: MakeClient
    context: Context = field(default_factory=Context)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        key_id: str = "key1",
    ) -> Answer:
        """One request of a key's holder; a body of bytes is sent as it is."""
        answer = self.app.handler(self.event(method, path, body, headers, key_id), self.context)
        text = answer["body"]
        is_json = "json" in answer["headers"].get("Content-Type", "application/json")
        return Answer(answer["statusCode"], answer["headers"], json.loads(text) if is_json and text else text)

    def event(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        key_id: str = "key1",
    ) -> dict[str, Any]:
        """What API Gateway makes of a request."""
        parts = urlsplit(path)
        resource, parameters = self._route(parts.path)
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            query.setdefault(name, []).append(value)
        text = body.decode() if isinstance(body, bytes) else None if body is None else json.dumps(body)
        return {
            "resource": resource,
            "path": parts.path,
            "httpMethod": method,
            "headers": {"Content-Type": "application/json", **(headers or {})},
            "multiValueHeaders": {},
            "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "pathParameters": parameters or None,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": resource,
                "path": f"/prod{parts.path}",
                "httpMethod": method,
                "stage": "prod",
                "domainName": "api.example.com",
                "requestId": "request-1",
                "identity": {"apiKeyId": key_id, "sourceIp": "127.0.0.1"},
            },
            "body": text,
            "isBase64Encoded": False,
        }

    def _route(self, path: str) -> tuple[str, dict[str, str]]:
        """The resource that a path means; as API Gateway, fixed segments before parameters."""
        given = path.split("/")
        for resource in sorted(self.app.app.routes, key=lambda it: it.count("{")):
            own = resource.split("/")
            if len(own) == len(given) and all(a == b or a.startswith("{") for a, b in zip(own, given, strict=True)):
                return resource, {a[1:-1]: b for a, b in zip(own, given, strict=True) if a.startswith("{")}
        return path, {}


@contextmanager
def settings(endpoint_url: str) -> Iterator[str]:
    """The function's environment, for as long as it is needed; gives its table's name.

    What the template sets and the API's tests do not need has a value that means nothing.
    """
    template = yaml_parse(TEMPLATE.read_text())
    declared = template["Resources"]["ApiFunction"]["Properties"]["Environment"]["Variables"]
    environment = dict.fromkeys(declared, "unused") | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": endpoint_url,
        "DARKROOM_TASKS_TABLE": f"tasks-{uuid4().hex}",
        "DARKROOM_OUTPUT_BUCKET": BUCKET,
        "DARKROOM_RUNTIMES_PATH": "/darkroom/runtimes",
        "DARKROOM_TASK_DEADLINE_SECONDS": "3600",
        "DARKROOM_OPERATOR_KEY_ID": OPERATOR,
        "DARKROOM_WEBHOOK_ALLOWED_NETWORKS": "",
        "POWERTOOLS_SERVICE_NAME": "darkroom",
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
    }
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield environment["DARKROOM_TASKS_TABLE"]
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def run_api(endpoint_url: str) -> Iterator[Api]:
    """The function with a table, a bucket and a runtime of its own on an emulated AWS."""
    with settings(endpoint_url) as table:
        session: Any = boto3.session.Session("test", "test", region_name="eu-west-1")
        services = ("dynamodb", "s3", "sqs", "ssm")
        clients = {service: session.client(service, endpoint_url=endpoint_url) for service in services}
        make_resources(clients, table)
        with imported_app() as app:
            yield Api(app, table, clients.__getitem__)


def make_resources(clients: Mapping[str, Any], table: str) -> None:
    """The table as the template declares it, the bucket, the runtime's queues and its registration."""
    template = yaml_parse(TEMPLATE.read_text())
    declared = template["Resources"]["TasksTable"]["Properties"]
    names = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    clients["dynamodb"].create_table(TableName=table, **{name: declared[name] for name in names})
    clients["s3"].create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    queue = clients["sqs"].create_queue(QueueName="sdruntime")["QueueUrl"]
    dead = clients["sqs"].create_queue(QueueName="sdruntime-dead")["QueueUrl"]
    entry = RUNTIME | {"queue_url": queue, "dead_letter_queue_url": dead}
    clients["ssm"].put_parameter(
        Name="/darkroom/runtimes/sdruntime", Value=json.dumps(entry), Type="String", Overwrite=True
    )


@contextmanager
def imported_app() -> Iterator[Any]:
    """The function's module, imported afresh."""
    from darkroom.aws.clients import client  # noqa: PLC0415  what is measured must not be imported before

    def forget() -> None:
        client.cache_clear()
        for name in [name for name in sys.modules if name == "app" or name.partition(".")[0] == "chalicelib"]:
            del sys.modules[name]

    forget()
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("app")
    finally:
        sys.path.remove(str(FOLDER))
        forget()
