"""The HTTP API: routes only. What they do is in `darkroom.submissions` and the task store."""

from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext
from chalice.app import Chalice, Request
from chalicelib.problems import explain_chalice, explaining

from darkroom import __version__
from darkroom.aws.blob_store import S3BlobStore
from darkroom.aws.clients import client
from darkroom.aws.measures import count_submitted
from darkroom.aws.runtime_registry import SsmRuntimeRegistry
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.errors import TaskNotFoundError
from darkroom.models import now
from darkroom.requests import TaskRequest, read_v1alpha1, read_v1alpha2
from darkroom.settings import ApiSettings
from darkroom.submissions import Submissions
from darkroom.tasks import Task, TaskKey

logger = Logger()
tracer = Tracer()
app = Chalice(app_name="darkroom", configure_logs=False)
app.register_middleware(explain_chalice, "http")

settings = ApiSettings.from_environment()
registry = SsmRuntimeRegistry(client("ssm"), settings.runtimes_path)
store = DynamoTaskStore(client("dynamodb"), settings.tasks_table)
submissions = Submissions(
    store, S3BlobStore(client("s3")), registry, settings.output_bucket, settings.task_deadline
)


@app.route("/v1alpha1", methods=["POST"])
@explaining
def submit_v1alpha1() -> dict[str, Any]:
    """Submit a task by the checkpoint that it needs."""
    task = _submit(read_v1alpha1(_body()))
    return {"sd_model_checkpoint": task.model} | _accepted(task)


@app.route("/v1alpha2", methods=["POST"])
@explaining
def submit_v1alpha2() -> dict[str, Any]:
    """Submit a task by the runtime that shall do it."""
    task = _submit(read_v1alpha2(_body()))
    return {"runtime": task.runtime} | _accepted(task)


@app.route("/v1/tasks/{id}", methods=["GET"])
@explaining
def get_task(id: str) -> dict[str, Any]:  # noqa: A002  the path's own name for it
    """Tell how a task of the caller's stands."""
    task = store.get(TaskKey(_owner(), id))
    if task is None:
        raise TaskNotFoundError(f"You have no task {id!r}.")
    return task.public()


@app.route("/v1/health", methods=["GET"])
@explaining
def get_health() -> dict[str, Any]:
    """Tell that the API reaches its table and its registry, and which runtimes are deployed."""
    store.get(TaskKey(_owner(), ".health"))
    runtimes = {name: runtime.type for name, runtime in registry.all().items()}
    return {"status": "ok", "version": __version__, "runtimes": runtimes}


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of API Gateway."""
    answer: dict[str, Any] = app(event, context)
    return answer


def _submit(request: TaskRequest) -> Task:
    logger.append_keys(task_id=request.id)
    task = submissions.submit(request, _owner(), now())
    logger.info("task_accepted", extra={"runtime": task.runtime, "tasktype": task.type})
    count_submitted(task)
    return task


def _accepted(task: Task) -> dict[str, Any]:
    return {"id_task": task.id, "id": task.id, "output_location": task.output_location}


def _body() -> bytes:
    body = _request().raw_body
    return body if isinstance(body, bytes) else body.encode()


def _owner() -> str:
    """The id of the caller's API key: tasks belong to keys."""
    return str(_request().context["identity"]["apiKeyId"])


def _request() -> Request:
    assert app.current_request is not None, "Chalice sets the request before it calls a view"  # noqa: S101
    return app.current_request
