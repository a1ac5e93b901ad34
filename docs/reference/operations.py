"""What each route takes and answers: what cannot be read off the routes themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from pydantic import BaseModel
from shapes import (
    Accepted,
    BatchAnswer,
    Health,
    PipelineDocument,
)

from darkroom import errors
from darkroom.answers import TaskDetails, TaskList
from darkroom.batch_answers import BatchDetails, BatchList
from darkroom.batch_requests import BatchRequest
from darkroom.deliveries import DeliveryList
from darkroom.pipeline_answers import (
    DefinitionDetails,
    DefinitionList,
    DefinitionName,
    PipelineCheck,
    PipelineDetails,
    PipelineList,
)
from darkroom.runtime_desk import Redrive, RuntimeDetails, RuntimeList
from darkroom.signatures import WebhookSecret
from darkroom.task_requests import BatchForm, TaskForm
from darkroom.uploads import CompletionForm, Upload, UploadedFile, UploadForm

Problems = tuple[type[errors.RequestError], ...]

_BODY: Problems = (errors.MalformedBodyError, errors.BodyTooLargeError, errors.InvalidRequestError)
_TASK: Problems = (*_BODY, errors.UnknownRuntimeError, errors.UnsupportedTaskError, errors.UnknownSecretError)
_FOREIGN: Problems = (errors.InvalidRequestError, errors.ForbiddenError)
_PIPELINE: Problems = (*_TASK, errors.DefinitionNotFoundError)
_ONE_PIPELINE: Problems = (*_FOREIGN, errors.PipelineNotFoundError)
_ONE_BATCH: Problems = (*_FOREIGN, errors.BatchNotFoundError)
_ONE_TASK: Problems = (*_FOREIGN, errors.TaskNotFoundError)


@dataclass(frozen=True)
class Operation:
    """One route. `answers` maps a status to what comes with it; `queries` names the parameters that it knows."""

    group: str
    answers: Mapping[HTTPStatus, type[BaseModel] | str | None]
    problems: Problems = ()
    request: type[BaseModel] | str | None = None
    queries: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    keyless: bool = False
    more: str = ""
    links: tuple[str, ...] = field(default=())


_PREFER = (
    "With `Prefer: wait=N` the answer is held back for up to N seconds (25 at most) until the task ends; "
    "`Preference-Applied` says for how long."
)
_PREFER_PIPELINE = _PREFER.replace("the task", "the pipeline")
_LIST = ("status", "type", "runtime", "model", "pipeline", "since", "until", "limit", "cursor", "owner")
_FOLLOW = ("getTask", "cancelTask", "retryTask", "deleteTask")

OPERATIONS: Mapping[str, Operation] = {
    "POST /v1/tasks": Operation(
        "Tasks",
        {HTTPStatus.ACCEPTED: TaskDetails, HTTPStatus.OK: TaskDetails},
        (*_TASK, errors.TaskConflictError),
        TaskForm,
        headers=("Idempotency-Key", "Prefer"),
        links=_FOLLOW,
        more=(
            "Answers in milliseconds; the images come later. The same request again, by its `id` or by an "
            "`Idempotency-Key`, is answered with the same task and not run twice; another body under the same name "
            "is a conflict. The status is 202 while the task is unfinished and 200 once it has ended. " + _PREFER
        ),
    ),
    "GET /v1/tasks": Operation(
        "Tasks",
        {HTTPStatus.OK: TaskList},
        _FOREIGN,
        queries=_LIST,
        more=(
            "Pages are full but for the last, and tasks that are added meanwhile shift nothing. A task that was "
            "submitted this moment may take some milliseconds to appear."
        ),
    ),
    "POST /v1/tasks:batch": Operation(
        "Tasks",
        {HTTPStatus.OK: BatchAnswer},
        _BODY,
        BatchForm,
        headers=("Idempotency-Key",),
        more=(
            "Each task is accepted or refused for itself: `items` holds, in order, what `POST /v1/tasks` would "
            "have answered. One `Idempotency-Key` serves all, by their order. Bodies are 4 MB at most."
        ),
    ),
    "GET /v1/tasks/{id}": Operation(
        "Tasks", {HTTPStatus.OK: TaskDetails}, _ONE_TASK, queries=("owner",), headers=("Prefer",), more=_PREFER
    ),
    "DELETE /v1/tasks/{id}": Operation(
        "Tasks",
        {HTTPStatus.NO_CONTENT: None},
        (*_ONE_TASK, errors.TaskUnfinishedError, errors.TaskConflictError),
        queries=("owner",),
        more="Removes its record and its files. A task that has not ended must be cancelled first.",
    ),
    "POST /v1/tasks/{id}/cancel": Operation(
        "Tasks",
        {HTTPStatus.OK: TaskDetails},
        _ONE_TASK,
        queries=("owner",),
        more="May be repeated. A running task's agent hears of it within seconds and stops.",
    ),
    "POST /v1/tasks/{id}/retry": Operation(
        "Tasks",
        {HTTPStatus.ACCEPTED: TaskDetails},
        (*_ONE_TASK, errors.TaskNotRetryableError, errors.TaskConflictError),
        queries=("owner",),
        more="For tasks that failed, expired or were cancelled.",
    ),
    "GET /v1/tasks/{id}/deliveries": Operation(
        "Webhooks", {HTTPStatus.OK: DeliveryList}, _ONE_TASK, queries=("owner",)
    ),
    "GET /v1/webhooks/secrets/{name}": Operation(
        "Webhooks", {HTTPStatus.OK: WebhookSecret}, (errors.InvalidRequestError, errors.UnknownSecretError)
    ),
    "POST /v1/webhooks/secrets/{name}": Operation(
        "Webhooks", {HTTPStatus.OK: WebhookSecret}, (errors.InvalidRequestError,)
    ),
    "POST /v1/pipelines": Operation(
        "Pipelines",
        {HTTPStatus.ACCEPTED: PipelineDetails, HTTPStatus.OK: PipelineDetails},
        (*_PIPELINE, errors.PipelineConflictError),
        "PipelineRequest",
        headers=("Prefer",),
        links=("getPipeline", "cancelPipeline", "retryPipeline"),
        more=(
            "A document, or the name of a saved one with inputs. The same body under the same `id` runs once; "
            "another body under it is a conflict. The status is 202 while the pipeline runs and 200 once it has "
            "ended. " + _PREFER_PIPELINE
        ),
    ),
    "POST /v1/pipelines:validate": Operation(
        "Pipelines",
        {HTTPStatus.OK: PipelineCheck},
        _PIPELINE,
        PipelineDocument,
        more="What is wrong is answered as `POST /v1/pipelines` would: `errors` has the path of every fault.",
    ),
    "GET /v1/pipelines": Operation(
        "Pipelines",
        {HTTPStatus.OK: PipelineList},
        _FOREIGN,
        queries=("limit", "cursor", "owner"),
        more="The owner's, and those that were started at Step Functions itself, which are everyone's.",
    ),
    "GET /v1/pipelines/{id}": Operation(
        "Pipelines",
        {HTTPStatus.OK: PipelineDetails},
        _ONE_PIPELINE,
        queries=("owner",),
        headers=("Prefer",),
        more=_PREFER_PIPELINE,
    ),
    "POST /v1/pipelines/{id}/cancel": Operation(
        "Pipelines",
        {HTTPStatus.OK: PipelineDetails},
        _ONE_PIPELINE,
        queries=("owner",),
        more="May be repeated. Its tasks are cancelled within moments.",
    ),
    "POST /v1/pipelines/{id}/retry": Operation(
        "Pipelines",
        {HTTPStatus.ACCEPTED: PipelineDetails, HTTPStatus.OK: PipelineDetails},
        (*_ONE_PIPELINE, errors.PipelineStateError, errors.PipelineConflictError),
        queries=("owner",),
        headers=("Prefer",),
        more="For pipelines that failed or were cancelled. What has succeeded, single items included, is kept.",
    ),
    "GET /v1/pipeline-definitions": Operation(
        "Pipelines", {HTTPStatus.OK: DefinitionList}, _FOREIGN, queries=("owner",)
    ),
    "PUT /v1/pipeline-definitions/{name}": Operation(
        "Pipelines",
        {HTTPStatus.OK: DefinitionName},
        _PIPELINE,
        PipelineDocument,
        more="The same document as the latest version's makes no new one.",
    ),
    "GET /v1/pipeline-definitions/{name}": Operation(
        "Pipelines",
        {HTTPStatus.OK: DefinitionDetails},
        (errors.InvalidRequestError, *_FOREIGN, errors.DefinitionNotFoundError),
        queries=("version", "owner"),
    ),
    "POST /v1/batches": Operation(
        "Batches",
        {HTTPStatus.ACCEPTED: BatchDetails, HTTPStatus.OK: BatchDetails},
        (*_PIPELINE, errors.BatchConflictError),
        BatchRequest,
        headers=("Idempotency-Key",),
        more=(
            "The manifest is JSON Lines or CSV, at most 256 MB. A row that is wrong fails alone. The same request "
            "again, by its `id` or by an `Idempotency-Key`, is answered with the same batch and not run twice."
        ),
    ),
    "GET /v1/batches": Operation(
        "Batches",
        {HTTPStatus.OK: BatchList},
        _FOREIGN,
        queries=("limit", "cursor", "owner"),
    ),
    "GET /v1/batches/{id}": Operation("Batches", {HTTPStatus.OK: BatchDetails}, _ONE_BATCH, queries=("owner",)),
    "POST /v1/batches/{id}/cancel": Operation(
        "Batches",
        {HTTPStatus.OK: BatchDetails},
        _ONE_BATCH,
        queries=("owner",),
        more="Its results are there within moments, once everything that ran has been cancelled.",
    ),
    "POST /v1/batches/{id}/retry": Operation(
        "Batches",
        {HTTPStatus.ACCEPTED: BatchDetails},
        (*_ONE_BATCH, errors.BatchStateError),
        queries=("owner",),
        more="For batches that failed or were cancelled. What has succeeded is kept.",
    ),
    "POST /v1/uploads": Operation(
        "Uploads",
        {HTTPStatus.CREATED: Upload},
        _BODY,
        UploadForm,
        more=(
            "The file goes straight to the bucket. Its `uri` can be used anywhere in a content, by the key that "
            "uploaded it only."
        ),
    ),
    "POST /v1/uploads:complete": Operation(
        "Uploads", {HTTPStatus.OK: UploadedFile}, (*_BODY, errors.UploadNotFoundError), CompletionForm
    ),
    "GET /v1/runtimes": Operation("Runtimes", {HTTPStatus.OK: RuntimeList}),
    "GET /v1/runtimes/{name}": Operation(
        "Runtimes", {HTTPStatus.OK: RuntimeDetails}, (errors.RuntimeNotFoundError,)
    ),
    "POST /v1/runtimes/{name}/redrive": Operation(
        "Runtimes",
        {HTTPStatus.OK: Redrive},
        (errors.ForbiddenError, errors.RuntimeNotFoundError),
        more="For operators. Stops after 20 seconds: ask again until `moved` is 0.",
    ),
    "GET /v1/health": Operation("About", {HTTPStatus.OK: Health}),
    "GET /v1/openapi.json": Operation("About", {HTTPStatus.OK: "application/json"}, keyless=True),
    "GET /v1/docs": Operation("About", {HTTPStatus.OK: "text/html; charset=utf-8"}, keyless=True),
    "POST /v1alpha2": Operation(
        "User guide",
        {HTTPStatus.OK: Accepted},
        (*_TASK, errors.TaskConflictError),
        "V1Alpha2",
        more=(
            "The user guide's form. An id names the latest submission: the same body again while it is unfinished "
            "is answered again and not run twice, another body is a conflict, and after its end it runs anew."
        ),
    ),
    "POST /v1alpha1": Operation(
        "User guide",
        {HTTPStatus.OK: Accepted},
        (*_TASK, errors.TaskConflictError),
        "V1Alpha1",
        more="The user guide's older form: the SD WebUI's own body, with the guide's fields in `alwayson_scripts`.",
    ),
}

GROUPS: Mapping[str, str] = {
    "Tasks": "Ask for images, and follow what becomes of it.",
    "Pipelines": "Many steps, several runtimes, one request.",
    "Batches": "Up to 100,000 tasks or pipelines from one file.",
    "Uploads": "Bring inputs to where contents can name them.",
    "Runtimes": "What is deployed, what it can do, and how it fares.",
    "Webhooks": "How you are told, and what became of it.",
    "User guide": "The forms of the user guide, as they always were.",
    "About": "The API itself.",
}
