"""Accepting a task: from what a caller asks for to what the table holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from darkroom.addresses import Network
from darkroom.errors import FieldError, UnknownRuntimeError, UnsupportedTaskError
from darkroom.models import to_text
from darkroom.ports import BlobStore, RuntimeRegistry, TaskStore
from darkroom.requests import TaskRequest
from darkroom.restrictions import check_links, check_names, out_of_reach
from darkroom.runtimes import Runtime
from darkroom.tasks import Task, TaskType
from darkroom.webhooks import check_webhook

INLINE_CONTENT = 200_000
"""The largest content, in bytes of JSON, that travels in messages. SNS and SQS take 262,144 bytes in all."""


_ASKED = frozenset(
    {
        "owner",
        "id",
        "runtime",
        "type",
        "prefix",
        "output_location",
        "fingerprint",
        "content",
        "context",
        "model",
        "routed_by_model",
        "pipeline_id",
        "variant",
        "priority",
        "webhook",
        "output",
    }
)
"""The fields of a task that say what was asked for."""


@dataclass(frozen=True)
class Submissions:
    """The use case: checks a request against the runtimes there are and writes the task.

    On the warm path this costs one write. `deadline` is how long an accepted task may take until it expires.
    Webhooks may lead to `webhook_networks` although these are not public.
    """

    store: TaskStore
    blobs: BlobStore
    registry: RuntimeRegistry
    bucket: str
    deadline: timedelta
    webhook_networks: tuple[Network, ...] = ()

    def submit(self, request: TaskRequest, owner: str, now: datetime) -> Task:
        """Accept a task.

        Raises:
            UnknownRuntimeError: no runtime has that name, or serves that model.
            UnsupportedTaskError: the runtime cannot do that type of task, serves another model, or its pods reach
                neither the owner's tasks nor the prefix.
            InvalidRequestError: the content names what is not the owner's, or what the runtime does not have; or
                the webhook leads to where nothing is posted.
            TaskConflictError: the id belongs to an unfinished task with another body.
        """
        task = self.make(request, owner, now)
        return self.store.submit(self._claim_check(task), replace=request.replaces)

    def make(self, request: TaskRequest, owner: str, now: datetime) -> Task:
        """The task that a request asks for, checked but not written. Raises what `submit` does."""
        runtime = self._runtime(request)
        _check_reach(runtime, request, owner)
        check_links(request.content, request.paths["content"], self.bucket, owner)
        check_names(request.content, request.paths["content"], runtime)
        if request.webhook is not None:
            check_webhook(request.webhook, self.webhook_networks)
        return Task(
            owner=owner,
            id=request.id,
            runtime=runtime.name,
            type=request.type,
            prefix=request.prefix,
            output_location=f"s3://{self.bucket}/{request.prefix}/{request.id}",
            fingerprint=request.fingerprint,
            created_at=now,
            expires_at=now + (request.deadline or self.deadline),
            content=request.content,
            context=request.context,
            model=request.model,
            routed_by_model=request.runtime is None and not runtime.dynamic_model,
            variant=_variant(request),
            priority=request.priority,
            webhook=request.webhook,
            output=request.output,
        )

    def resubmit(self, old: Task, now: datetime) -> Task:
        """Ask for a task that has ended once more: a new submission of its id, with as much time as the first one.

        Raises:
            FileNotFoundError: its content is too old to be still there.
        """
        task = Task(
            **{name: getattr(old, name) for name in _ASKED},
            created_at=now,
            expires_at=now + (old.expires_at - old.created_at),
        )
        if old.content_ref is not None:
            content = json.loads(self.blobs.get(old.content_ref))
            task = self._claim_check(task.model_copy(update={"content": content}))
        return self.store.submit(task)

    def discard(self, task: Task) -> None:
        """Remove a task's files: its outputs, and its content where that waits in the bucket."""
        links = [*task.images, task.output_url, task.preview, task.content_ref]
        self.blobs.delete(link for link in links if link is not None and link.startswith(f"s3://{self.bucket}/"))

    def _runtime(self, request: TaskRequest) -> Runtime:
        runtime = _find(self.registry.all(), request) or _find(self.registry.refresh(), request)
        if runtime is None:
            raise _unknown(request, sorted(self.registry.all()))
        if not runtime.can_do(request.type):
            able = ", ".join(sorted(runtime.able))
            message = f"the runtime {runtime.name!r} ({runtime.type}) does {able}; not {request.type}"
            raise UnsupportedTaskError(fields=[FieldError(request.paths["type"], message)])
        if not runtime.can_load(request.model):
            message = f"the runtime {runtime.name!r} serves {runtime.model!r} only; it has no dynamicModel"
            raise UnsupportedTaskError(fields=[FieldError(request.paths["model"], message)])
        return runtime

    def _claim_check(self, task: Task) -> Task:
        """Large contents wait in the bucket; the task holds a link to them.

        No prefix can begin with a dot, so no output ever lies among them.
        """
        data = json.dumps(task.content).encode()
        if len(data) <= INLINE_CONTENT:
            return task
        link = f"s3://{self.bucket}/.requests/{task.owner}/{task.id}/{to_text(task.created_at)}.json"
        self.blobs.put(link, data, "application/json")
        return task.model_copy(update={"content": None, "content_ref": link})


def _find(runtimes: Mapping[str, Runtime], request: TaskRequest) -> Runtime | None:
    """The runtime that the request names; or, where it names a model, the one that serves it, else one that can."""
    if request.runtime is not None:
        return runtimes.get(request.runtime)
    able = [r for r in runtimes.values() if r.can_do(request.type)]
    static = [r for r in able if r.model == request.model and not r.dynamic_model]
    return next(iter(static or [r for r in able if r.model == request.model or r.dynamic_model]), None)


def _check_reach(runtime: Runtime, request: TaskRequest, owner: str) -> None:
    """Refuse what the runtime's pods have no right to."""
    paths = {"runtime": request.paths["model"], **request.paths}
    faults = [FieldError(paths[it.field], it.message) for it in out_of_reach(runtime, owner, request.prefix)]
    if faults:
        raise UnsupportedTaskError(fields=faults)


def _variant(request: TaskRequest) -> str | None:
    if request.type is not TaskType.INTERROGATE:
        return None
    return str(request.content.get("model", "clip"))


def _unknown(request: TaskRequest, names: list[str]) -> UnknownRuntimeError:
    known = ", ".join(names) or "none is deployed yet"
    if request.runtime is not None:
        message = f"there is no runtime {request.runtime!r}; there is: {known}"
        return UnknownRuntimeError(fields=[FieldError(request.paths["runtime"], message)])
    message = f"no runtime serves {request.model!r}; runtimes: {known}"
    return UnknownRuntimeError(fields=[FieldError(request.paths["model"], message)])
