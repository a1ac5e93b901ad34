"""The API's calls: how each is asked, and how its answer is read. Nothing here sends anything."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json

from darkroom.models import JsonObject, now, to_text
from darkroom.ulids import make_ulid
from darkroom_cli.errors import ApiError, UnexpectedAnswerError, error_class
from darkroom_cli.flows import Answer, Send
from darkroom_cli.runtimes import Redrive, Runtime
from darkroom_cli.tasks import Filter, Submission, Task
from darkroom_cli.uploads import Ticket

T = TypeVar("T")

BATCH = 100
"""The most tasks that one request may submit."""

PAGE = 100
"""The most tasks that one page may hold."""

LONGEST_NAME = 255
"""The most characters of an upload's name."""

_UNSAFE = re.compile(r"[^A-Za-z0-9!_.*'() -]")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call: what to send, how to read the answer, and whether doing it twice is doing it once."""

    send: Send
    read: Callable[[Answer], T]
    repeatable: bool = True


class Page(BaseModel):
    """A stretch of a list, and where the next begins."""

    model_config = ConfigDict(frozen=True)

    items: tuple[Task, ...]
    next_cursor: str | None = None


class BatchItem(BaseModel):
    """What became of one task of a batch."""

    model_config = ConfigDict(frozen=True)

    status: int
    task: Task | None = None
    problem: JsonObject | None = None

    def outcome(self) -> Task | ApiError:
        """The task, or why there is none."""
        return self.task or error_class(self.status)(self.status, self.problem or {})


def submit(submission: Submission, *, key: str | None = None, wait: float = 0) -> Call[Task]:
    """Ask for a task. `key` makes repetitions harmless; without one, one is made up for this call."""
    body = submission if key else _with_id(submission)
    headers = {"Idempotency-Key": key or uuid4().hex} | _prefer(wait)
    return Call(_post("/v1/tasks", body, headers, wait), make_reader(Task))


def submit_batch(submissions: Sequence[Submission], *, key: str | None = None) -> Call[list[Task | ApiError]]:
    """Ask for up to `BATCH` tasks; each is accepted or refused for itself. `key` is as for `submit`."""
    read = make_reader(list[BatchItem], within="items")
    tasks = list(submissions) if key else [_with_id(submission) for submission in submissions]
    send = _post("/v1/tasks:batch", {"tasks": tasks}, {"Idempotency-Key": key or uuid4().hex})
    return Call(send, lambda answer: [item.outcome() for item in read(answer)])


def get(id_: str, *, wait: float = 0) -> Call[Task]:
    """Look at a task; with `wait`, the answer may be held back until it ends."""
    return Call(Send("GET", _task(id_), headers=_prefer(wait), wait=wait), make_reader(Task))


def list_page(which: Filter, limit: int, cursor: str | None) -> Call[Page]:
    """Look at one page of tasks, newest first."""
    query: dict[str, str | Sequence[str]] = {name: _text(value) for name, value in which.items() if value}
    query |= {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
    return Call(Send("GET", "/v1/tasks", query=query), make_reader(Page))


def cancel(id_: str) -> Call[Task]:
    """End a task; one that has ended stays as it is."""
    return Call(_post(f"{_task(id_)}/cancel"), make_reader(Task))


def retry(id_: str) -> Call[Task]:
    """Run a task that has ended once more."""
    return Call(_post(f"{_task(id_)}/retry"), make_reader(Task), repeatable=False)


def delete(id_: str) -> Call[None]:
    """Remove a task's record and its outputs."""
    return Call(Send("DELETE", _task(id_)), lambda _: None)


def request_upload(name: str, size: int, content_type: str) -> Call[Ticket]:
    """Ask for links to upload a file of `size` bytes. Of its name, the API takes plain characters only."""
    plain = _UNSAFE.sub("_", name).lstrip("_.").replace("..", "_")[-LONGEST_NAME:] or "file"
    body = {"filename": plain, "size": size, "content_type": content_type}
    return Call(_post("/v1/uploads", body), make_reader(Ticket))


def complete_upload(ticket: Ticket, tags: Sequence[str]) -> Call[None]:
    """Make one file of the parts; `tags` are what the storage called them, in order."""
    parts = [{"number": part.number, "etag": tag} for part, tag in zip(ticket.parts, tags, strict=True)]
    body = {"uri": ticket.uri, "upload_id": ticket.upload_id, "parts": parts}
    return Call(_post("/v1/uploads:complete", body), lambda _: None)


def list_runtimes() -> Call[list[Runtime]]:
    """Look at the runtimes."""
    return Call(Send("GET", "/v1/runtimes"), make_reader(list[Runtime], within="runtimes"))


def get_runtime(name: str) -> Call[Runtime]:
    """Look at one runtime."""
    return Call(Send("GET", _runtime(name)), make_reader(Runtime))


def redrive(name: str) -> Call[Redrive]:
    """Put a runtime's dead letters back into its queue."""
    return Call(_post(f"{_runtime(name)}/redrive"), make_reader(Redrive))


def read_error(answer: Answer) -> ApiError:
    """What an answer that is no 2xx says, whether or not in the form of a problem."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    problem = body if isinstance(body, dict) else {}
    return error_class(answer.status)(
        answer.status,
        problem,
        retry_after=_retry_after(answer.headers),
        request_id=answer.headers.get("x-amzn-requestid"),
    )


def _with_id(submission: Submission) -> Submission:
    """The submission under an id of ours: sent twice, it is still one task."""
    return {"id": make_ulid(now()), **submission}


def _task(id_: str) -> str:
    return f"/v1/tasks/{quote(id_, safe='')}"


def _runtime(name: str) -> str:
    return f"/v1/runtimes/{quote(name, safe='')}"


def _prefer(wait: float) -> dict[str, str]:
    return {"Prefer": f"wait={int(wait)}"} if wait >= 1 else {}


def _post(path: str, body: object = None, headers: Mapping[str, str] | None = None, wait: float = 0) -> Send:
    content = None if body is None else to_json(body)
    kind = {} if body is None else {"Content-Type": "application/json"}
    return Send("POST", path, headers={**kind, **(headers or {})}, body=content, wait=wait)


def _text(value: object) -> str | Sequence[str]:
    if isinstance(value, datetime):
        return to_text(value)
    return value if isinstance(value, str) else [str(item) for item in cast("Sequence[str]", value)]


def make_reader(kind: Any, within: str | None = None) -> Callable[[Answer], Any]:  # noqa: ANN401  a type, or a generic
    """What reads an answer's JSON as that kind; `within` names the part that is meant.

    The reader raises `UnexpectedAnswerError` where the answer makes no sense.
    """
    adapter = TypeAdapter(kind)

    def read(answer: Answer) -> Any:  # noqa: ANN401  what `kind` says
        try:
            body = json.loads(answer.body)
            return adapter.validate_python(body[within] if within else body)
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise UnexpectedAnswerError(_unexpected(answer, error)) from error

    return read


def _unexpected(answer: Answer, error: Exception) -> str:
    kind = answer.headers.get("content-type", "no content type")
    reason = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else str(error)
    return f"the answer ({answer.status}, {kind}) is not one of Darkroom's: {reason}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, whether the header says seconds or a date (RFC 9110, 10.2.3)."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now()).total_seconds())
    except (ValueError, TypeError):
        return None
