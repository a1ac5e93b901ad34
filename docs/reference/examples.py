"""Examples of requests, answers and problems. Those of tasks are made by the code that answers."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import batch_examples

from darkroom import tasks
from darkroom.answers import TaskList, detail, summarize
from darkroom.listings import Position
from darkroom.pipeline_answers import PipelineDetails, PipelineSummary, StepView
from darkroom.pipelines import Pipeline, PipelineStatus, StepStatus
from darkroom.signed_links import SignedParts, SignedPut
from darkroom.tasks import Task, TaskError, TaskType, Timings, changed

Json = dict[str, Any]

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
BUCKET = "darkroom-outputbucket-1a2b3c4d"
_SECOND = timedelta(seconds=1)
_LINK = "https://darkroom-outputbucket-1a2b3c4d.s3.amazonaws.com"


class _Links:
    """Links that look like presigned ones."""

    def to_get(self, link: str) -> str:
        return f"{_LINK}/{link.removeprefix(f's3://{BUCKET}/')}?X-Amz-Signature=…"

    def to_put(self, link: str, content_type: str, size: int) -> SignedPut:
        raise NotImplementedError(link, content_type, size)

    def start_parts(self, link: str, content_type: str, count: int) -> SignedParts:
        raise NotImplementedError(link, content_type, count)

    def finish_parts(self, link: str, upload_id: str, tags: Mapping[int, str]) -> None:
        raise NotImplementedError(link, upload_id, tags)


_QUEUED = Task(
    owner="x1y2z3a4b5",
    id="lighthouse-1",
    runtime="sdruntime",
    type=TaskType.TEXT_TO_IMAGE,
    prefix="output",
    output_location=f"s3://{BUCKET}/output/lighthouse-1",
    fingerprint="",
    created_at=START,
    expires_at=START + timedelta(days=1),
    context={"order": 42},
)
_LOST = TaskError(type="runtime_lost", message="the runtime went away", retryable=True)
_AGAIN = changed(
    changed(_QUEUED, tasks.claim(START + _SECOND, 60 * _SECOND)), tasks.release(START + 3 * _SECOND, 1, _LOST)
)
_RUNNING = changed(_AGAIN, tasks.claim(START + 5 * _SECOND, 60 * _SECOND))
_DONE = changed(
    _RUNNING,
    tasks.succeed(
        START + 9 * _SECOND,
        2,
        images=(f"s3://{BUCKET}/output/lighthouse-1/lighthouse-1-abcd-1.png",),
        output_url=f"s3://{BUCKET}/output/lighthouse-1/lighthouse-1-abcd.out",
        timings=Timings(download=0.02, run=3.4, upload=0.3),
    ),
)
_CANCELLED = changed(_QUEUED, tasks.cancel(START + 2 * _SECOND))


def _details(task: Task, position: int | None = None) -> Json:
    return detail(task, _Links(), position).model_dump(mode="json")


def problem(status: HTTPStatus, slug: str, title: str) -> Json:
    """A problem of a kind."""
    made: Json = {"type": f"urn:darkroom:problem:{slug}", "title": title, "status": int(status)}
    if slug in _FAULTS:
        made["errors"] = [dict(zip(("field", "message"), _FAULTS[slug], strict=True))]
    return made | {"request_id": "3f0c6a5e-8a1d-4a57-9a4e-2f9d0f6d7c11"}


_FAULTS = {
    "malformed-body": ("body", "is not JSON as it must be: the name 'steps' comes twice in one object"),
    "body-too-large": (
        "body",
        "is 5000000 bytes, at most 4194304 are taken: send large images as links (s3 or https)",
    ),
    "invalid-request": ("content.steps", "must be less than or equal to 150"),
    "unknown-runtime": ("runtime", "there is no runtime 'sdruntme'; there is: sdruntime"),
    "unsupported-task": ("type", "the runtime 'sdruntime' (sdwebui) does text-to-image; not pipeline"),
}

_TEXT = {"prompt": "a lighthouse at dusk", "steps": 20, "width": 512, "height": 512}
_GUIDE = {"id": "test-t2i", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output", "context": ""}
_UPLOADED = f"s3://{BUCKET}/uploads/x1y2z3a4b5/01KG0000000000000000000000/scan.tif"

_DOCUMENT = {
    "name": "draft-then-upscale",
    "steps": [
        {"id": "draft", "runtime": "sdruntime", "type": "text-to-image", "content": _TEXT},
        {
            "id": "upscale",
            "runtime": "sdruntime",
            "type": "extra-single-image",
            "foreach": "${draft.images}",
            "content": {"image": "${item}", "upscaling_resize": 4, "upscaler_1": "Lanczos"},
        },
    ],
}

_EVERYTHING = {
    "name": "poster",
    "id": "poster-42",
    "inputs": {"prompt": {"type": "string"}, "scale": 2},
    "deadline_seconds": 3600,
    "max_parallel": 4,
    "prefix": "posters",
    "context": {"order": 42},
    "webhook": {"url": "https://example.com/hook", "events": ["pipeline.succeeded", "pipeline.failed"]},
    "steps": [
        {
            "id": "draft",
            "runtime": "sdruntime",
            "type": "text-to-image",
            "content": _TEXT | {"prompt": "${inputs.prompt}", "seed": "${item}"},
            "foreach": [1, 2, 3, 4],
            "retry": {"max_attempts": 3, "backoff_seconds": 2, "on": ["timeout", "runtime_lost"]},
            "timeout_seconds": 600,
            "on_failure": "continue",
        },
        {
            "id": "upscale",
            "runtime": "sdruntime",
            "type": "extra-single-image",
            "foreach": "${draft.images}",
            "when": "${inputs.scale} > 1",
            "content": {"image": "${item}", "upscaling_resize": "${inputs.scale}", "upscaler_1": "Lanczos"},
            "output": True,
        },
    ],
}
_SAVED = {
    "definition": "poster",
    "version": 3,
    "inputs": {"prompt": "a lighthouse at dusk"},
    "context": {"order": 43},
}

REQUESTS: Mapping[str, Mapping[str, Json]] = {
    "POST /v1/tasks": {
        "text-to-image": {"runtime": "sdruntime", "type": "text-to-image", "content": _TEXT},
        "everything": {
            "id": "lighthouse-1",
            "runtime": "sdruntime",
            "type": "image-to-image",
            "content": _TEXT | {"init_images": ["https://example.com/sketch.png"], "denoising_strength": 0.6},
            "prefix": "output",
            "context": {"order": 42},
            "deadline_seconds": 3600,
            "priority": "high",
            "webhook": {"url": "https://example.com/hook", "events": ["task.succeeded", "task.failed"]},
            "output": {"format": "webp", "quality": 85, "strip_metadata": True},
        },
        "upscale": {
            "runtime": "sdruntime",
            "type": "extra-single-image",
            "content": {"image": f"s3://{BUCKET}/photo.png", "upscaling_resize": 4, "upscaler_1": "R-ESRGAN 4x+"},
        },
    },
    "POST /v1/tasks:batch": {
        "two tasks": {
            "tasks": [
                {"runtime": "sdruntime", "type": "text-to-image", "content": _TEXT},
                {"runtime": "sdruntme", "type": "text-to-image", "content": _TEXT},
            ]
        }
    },
    "POST /v1/uploads": {
        "small": {"filename": "sketch.png", "content_type": "image/png", "size": 482133},
        "large": {"filename": "scan.tif", "content_type": "image/tiff", "size": 150_000_000},
    },
    "POST /v1/uploads:complete": {
        "parts": {
            "uri": _UPLOADED,
            "upload_id": "Vy5mbX.x9",
            "parts": [
                {"number": 1, "etag": '"9b2cf535f27731c974343645a3985328"'},
                {"number": 2, "etag": '"77d1e5a2e0a6c0f2a9d5d1c1b0a4f3e2"'},
            ],
        }
    },
    **batch_examples.REQUESTS,
    "POST /v1/pipelines": {"draft-then-upscale": _DOCUMENT, "everything": _EVERYTHING, "a saved one": _SAVED},
    "POST /v1/pipelines:validate": {"draft-then-upscale": _DOCUMENT},
    "PUT /v1/pipeline-definitions/{name}": {"draft-then-upscale": _DOCUMENT},
    "POST /v1alpha2": {"text-to-image": {"task": {"metadata": _GUIDE, "content": _TEXT}}},
    "POST /v1alpha1": {
        "text-to-image": {
            "alwayson_scripts": {
                "task": "text-to-image",
                "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
                "id_task": "test-t2i",
                "save_dir": "outputs",
            },
            **_TEXT,
        }
    },
}

_RUNTIME = {
    "name": "sdruntime",
    "type": "sdwebui",
    "model": "v1-5-pruned-emaonly.safetensors",
    "dynamic_model": False,
    "task_types": ["extra-single-image", "image-to-image", "text-to-image"],
    "upscalers": ["Lanczos", "R-ESRGAN 4x+"],
    "samplers": [],
    "health": {
        "backlog": 12,
        "in_flight": 2,
        "dead_letters": 0,
        "oldest_age_seconds": 31.5,
        "estimated_start_seconds": 24.0,
    },
}
_ACCEPTED = {"id_task": "test-t2i", "id": "test-t2i", "output_location": f"s3://{BUCKET}/output/test-t2i"}
_REFUSED = problem(HTTPStatus.BAD_REQUEST, "unknown-runtime", "There is no such runtime.")
_SECRET = {
    "name": "default",
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "created_at": "2026-01-31T12:00:00.000Z",
    "previous": None,
    "previous_until": None,
}

_DEFINITION = {"name": "draft-then-upscale", "version": 3}


def _pipeline(status: PipelineStatus, *steps: StepView, images: int = 0) -> Json:
    """A run of the document in a status; its steps are those that have begun."""
    folder = f"s3://{BUCKET}/.pipelines/x1y2z3a4b5/01KG0000000000000000000000/2026-01-31T12:00:00.000Z"
    ended = status.ended
    pipeline = Pipeline(
        owner="x1y2z3a4b5",
        id="01KG0000000000000000000000",
        name="draft-then-upscale",
        fingerprint="",
        folder=folder,
        created_at=START,
        started_at=START,
        expires_at=START + timedelta(days=14),
        finished_at=START + 21 * _SECOND if ended else None,
        status=status,
        error=None if status is not PipelineStatus.CANCELLED else _STOPPED,
        images=tuple(f"s3://{BUCKET}/pipelines/01KG0000000000000000000000/upscale/{n}.png" for n in range(images)),
        context={"order": 42},
    )
    result = pipeline.result if status is PipelineStatus.SUCCEEDED else None
    return PipelineDetails.of(pipeline, inputs={}, steps=steps, result=result).model_dump(mode="json")


_STOPPED = TaskError(type="cancelled", message="the pipeline was cancelled")
_DRAFT: Json = {"id": "draft", "runtime": "sdruntime", "type": "text-to-image", "needs": ()}
_UPSCALE: Json = {"id": "upscale", "runtime": "sdruntime", "type": "extra-single-image", "needs": ("draft",)}
_FIRST = StepView(**_DRAFT, status=StepStatus.RUNNING, progress=0.45, started_at=START + _SECOND)
_FIRST_DONE = _FIRST.model_copy(
    update={
        "status": StepStatus.SUCCEEDED,
        "progress": 1.0,
        "done": 1,
        "images": 1,
        "finished_at": START + 9 * _SECOND,
    }
)
_WAITS = StepView(**_UPSCALE, status="waiting")
_LAST_DONE = StepView(
    **_UPSCALE,
    status=StepStatus.SUCCEEDED,
    progress=1.0,
    done=1,
    images=1,
    started_at=START + 10 * _SECOND,
    finished_at=START + 20 * _SECOND,
)
_BEGUN = _pipeline(
    PipelineStatus.RUNNING,
    _FIRST.model_copy(update={"status": "waiting", "progress": 0.0, "started_at": None}),
    _WAITS,
)
_ENDED = _pipeline(PipelineStatus.SUCCEEDED, _FIRST_DONE, _LAST_DONE, images=1)
_STOPPED_AT_ONCE = _pipeline(
    PipelineStatus.CANCELLED, _FIRST.model_copy(update={"status": StepStatus.CANCELLED, "progress": 1.0}), _WAITS
)
_LISTED = {name: _ENDED[name] for name in PipelineSummary.model_fields}

ANSWERS: Mapping[str, Json] = {
    "POST /v1/tasks": _details(_QUEUED),
    "GET /v1/tasks": TaskList(items=(summarize(_DONE),), next_cursor=Position.of(_DONE).to_cursor()).model_dump(
        mode="json"
    ),
    "POST /v1/tasks:batch": {
        "items": [{"status": 202, "task": _details(_QUEUED)}, {"status": 400, "problem": _REFUSED}]
    },
    "GET /v1/tasks/{id}": _details(_DONE),
    "POST /v1/tasks/{id}/cancel": _details(_CANCELLED),
    "POST /v1/tasks/{id}/retry": _details(_QUEUED),
    "POST /v1/uploads": {
        "uri": f"s3://{BUCKET}/uploads/x1y2z3a4b5/01KG0000000000000000000000/sketch.png",
        "expires_at": "2026-01-31T13:00:00.000Z",
        "method": "PUT",
        "url": f"{_LINK}/uploads/x1y2z3a4b5/01KG0000000000000000000000/sketch.png?X-Amz-Signature=…",
        "headers": {"Content-Type": "image/png"},
        "upload_id": None,
        "part_size": None,
        "parts": [],
    },
    "POST /v1/uploads:complete": {"uri": _UPLOADED},
    "GET /v1/runtimes": {"runtimes": [_RUNTIME]},
    "GET /v1/runtimes/{name}": _RUNTIME,
    "POST /v1/runtimes/{name}/redrive": {"moved": 3},
    "GET /v1/health": {"status": "ok", "version": "0.1.0", "runtimes": {"sdruntime": "sdwebui"}},
    "POST /v1alpha2": {"runtime": "sdruntime", **_ACCEPTED},
    "POST /v1alpha1": {"sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors", **_ACCEPTED},
    **batch_examples.ANSWERS,
    "POST /v1/pipelines": _BEGUN,
    "GET /v1/pipelines": {"items": [_LISTED], "next_cursor": None},
    "POST /v1/pipelines:validate": {"valid": True, "name": "draft-then-upscale", "steps": ["draft", "upscale"]},
    "GET /v1/pipelines/{id}": _ENDED,
    "POST /v1/pipelines/{id}/cancel": _STOPPED_AT_ONCE,
    "POST /v1/pipelines/{id}/retry": _pipeline(PipelineStatus.RUNNING, _FIRST, _WAITS) | {"run": 2},
    "GET /v1/pipeline-definitions": {"items": [_DEFINITION]},
    "PUT /v1/pipeline-definitions/{name}": _DEFINITION,
    "GET /v1/pipeline-definitions/{name}": _DEFINITION | {"document": _DOCUMENT},
    "GET /v1/tasks/{id}/deliveries": {"items": []},
    "GET /v1/webhooks/secrets/{name}": _SECRET,
    "POST /v1/webhooks/secrets/{name}": _SECRET,
}

MEANINGS: Mapping[tuple[str, HTTPStatus], str] = {
    ("POST /v1/tasks", HTTPStatus.ACCEPTED): "The task, which has not ended.",
    ("POST /v1/tasks", HTTPStatus.OK): "The task, which has ended.",
    ("GET /v1/tasks", HTTPStatus.OK): "A page of tasks.",
    ("POST /v1/tasks:batch", HTTPStatus.OK): "What became of each task.",
    ("GET /v1/tasks/{id}", HTTPStatus.OK): "The task.",
    ("DELETE /v1/tasks/{id}", HTTPStatus.NO_CONTENT): "It is gone.",
    ("POST /v1/tasks/{id}/cancel", HTTPStatus.OK): "The task as it is now: cancelled, or ended otherwise before.",
    ("POST /v1/tasks/{id}/retry", HTTPStatus.ACCEPTED): "The task, which waits again.",
    **batch_examples.MEANINGS,
    ("POST /v1/pipelines", HTTPStatus.ACCEPTED): "The pipeline, which runs.",
    ("POST /v1/pipelines", HTTPStatus.OK): "The pipeline, which has ended.",
    ("POST /v1/pipelines:validate", HTTPStatus.OK): "Nothing is wrong with it.",
    ("GET /v1/pipelines", HTTPStatus.OK): "A page of pipelines.",
    ("GET /v1/pipelines/{id}", HTTPStatus.OK): "The pipeline.",
    ("POST /v1/pipelines/{id}/cancel", HTTPStatus.OK): "The pipeline as it is now: cancelled, or ended before.",
    ("POST /v1/pipelines/{id}/retry", HTTPStatus.ACCEPTED): "The pipeline, which runs again.",
    ("POST /v1/pipelines/{id}/retry", HTTPStatus.OK): "The pipeline, which has ended again.",
    ("GET /v1/pipeline-definitions", HTTPStatus.OK): "The saved pipelines.",
    ("PUT /v1/pipeline-definitions/{name}", HTTPStatus.OK): "It is saved, as this version.",
    ("GET /v1/pipeline-definitions/{name}", HTTPStatus.OK): "The version.",
    ("POST /v1/uploads", HTTPStatus.CREATED): "Where to put the file.",
    ("POST /v1/uploads:complete", HTTPStatus.OK): "The file is there.",
    ("GET /v1/runtimes", HTTPStatus.OK): "The runtimes.",
    ("GET /v1/runtimes/{name}", HTTPStatus.OK): "The runtime.",
    ("POST /v1/runtimes/{name}/redrive", HTTPStatus.OK): "How many were put back.",
}
