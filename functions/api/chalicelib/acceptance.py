"""Accepting tasks: one, or many side by side, and what is written down about it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from http import HTTPStatus

from aws_lambda_powertools import Logger

from chalicelib import wiring
from chalicelib.calls import Call
from chalicelib.problems import describe
from darkroom.answers import detail
from darkroom.aws.measures import count_submitted
from darkroom.errors import RequestError
from darkroom.models import JsonObject
from darkroom.requests import TaskRequest
from darkroom.task_requests import make_id, read_form
from darkroom.tasks import Task

SIDE_BY_SIDE = 8
"""How many tasks of a batch are written at once."""

logger = Logger(child=True)


def accept(request: TaskRequest, owner: str, now: datetime) -> Task:
    """Accept a task.

    Raises:
        RequestError: it cannot be accepted.
    """
    task = wiring.submissions.submit(request, owner, now)
    logger.info("task_accepted", extra={"task_id": task.id, "runtime": task.runtime, "tasktype": task.type})
    count_submitted(task)
    return task


def accept_each(forms: Sequence[JsonObject], call: Call) -> list[JsonObject]:
    """Accept tasks, each for itself: what became of each, in their order."""
    key = call.header("Idempotency-Key")
    ids = [make_id(call.key_id, key, call.now, index) for index in range(len(forms))]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        return list(threads.map(partial(_accept_form, call), forms, ids))


def _accept_form(call: Call, form: JsonObject, fallback_id: str) -> JsonObject:
    try:
        task = accept(read_form(form, fallback_id), call.key_id, call.now)
    except RequestError as error:
        problem = describe(error)
        return {"status": problem["status"], "problem": problem}
    status = HTTPStatus.OK if task.status.ended else HTTPStatus.ACCEPTED
    return {"status": status, "task": detail(task, wiring.links).model_dump(mode="json")}
