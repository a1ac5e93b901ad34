"""Routes of `/v1/tasks`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from chalice.app import Blueprint, Response

from chalicelib import wiring
from chalicelib.acceptance import accept, accept_each
from chalicelib.calls import NO_BODY, Call
from chalicelib.lazy import lazy_module
from chalicelib.problems import explaining
from darkroom.answers import TaskList, detail, summarize
from darkroom.models import JsonObject
from darkroom.task_requests import read_batch, read_task
from darkroom.tasks import Task, TaskStatus

if TYPE_CHECKING:
    from chalicelib import more_wiring
else:
    more_wiring = lazy_module("chalicelib.more_wiring")

routes = Blueprint(__name__)


@routes.route("/v1/tasks", methods=["POST"])
@explaining
def submit_task() -> Response:
    """Submit a task."""
    call = Call(routes.current_request)
    task = accept(read_task(call.body, call.new_id()), call.key_id, call.now)
    return _answer(call, task, HTTPStatus.ACCEPTED, headers={"Location": call.location(task.id)})


@routes.route("/v1/tasks:batch", methods=["POST"])
@explaining
def submit_tasks() -> JsonObject:
    """Submit up to 100 tasks at once."""
    call = Call(routes.current_request)
    return {"items": accept_each(read_batch(call.body), call)}


@routes.route("/v1/tasks", methods=["GET"])
@explaining
def list_tasks() -> JsonObject:
    """List tasks, newest first."""
    call = Call(routes.current_request)
    query = call.task_query()
    page = wiring.store.page(call.owner, query, query.limit, query.cursor)
    return TaskList(items=tuple(map(summarize, page.tasks)), next_cursor=page.cursor).model_dump(mode="json")


@routes.route("/v1/tasks/{id}", methods=["GET"])
@explaining
def get_task(id: str) -> Response:  # noqa: A002  the path's own name for it
    """Look at a task."""
    call = Call(routes.current_request)
    task = wiring.tasks.get(call.task_key(id))
    return _answer(call, task, HTTPStatus.OK, queue_position=more_wiring.runtimes.position(task))


@routes.route("/v1/tasks/{id}", methods=["DELETE"])
@explaining
def delete_task(id: str) -> Response:  # noqa: A002
    """Delete a task that has ended, and its outputs."""
    call = Call(routes.current_request)
    wiring.tasks.delete(call.task_key(id))
    return Response("", status_code=HTTPStatus.NO_CONTENT)


@routes.route("/v1/tasks/{id}/cancel", methods=["POST"], content_types=NO_BODY)
@explaining
def cancel_task(id: str) -> JsonObject:  # noqa: A002
    """Cancel a task. One that has ended stays as it is."""
    call = Call(routes.current_request)
    return _detail(wiring.tasks.cancel(call.task_key(id), call.now))


@routes.route("/v1/tasks/{id}/retry", methods=["POST"], content_types=NO_BODY)
@explaining
def retry_task(id: str) -> Response:  # noqa: A002
    """Submit a task again that ended without success, under the same id."""
    call = Call(routes.current_request)
    task = wiring.tasks.retry(call.task_key(id), call.now)
    return Response(_detail(task), status_code=HTTPStatus.ACCEPTED)


def _answer(
    call: Call,
    task: Task,
    open_status: HTTPStatus,
    *,
    headers: Mapping[str, str] | None = None,
    queue_position: int | None = None,
) -> Response:
    """The task, after as much waiting as the caller prefers; `open_status` is for one that has not ended."""
    sent: dict[str, str | list[str]] = {**(headers or {})}
    seconds = call.wait(routes.lambda_context.get_remaining_time_in_millis() / 1000)
    if seconds is not None:
        task = wiring.tasks.wait(task, seconds)
        sent["Preference-Applied"] = f"wait={seconds}"
    status = HTTPStatus.OK if task.status.ended else open_status
    position = queue_position if task.status is TaskStatus.QUEUED else None
    return Response(_detail(task, position), status_code=status, headers=sent)


def _detail(task: Task, queue_position: int | None = None) -> JsonObject:
    return detail(task, wiring.links, queue_position).model_dump(mode="json")
