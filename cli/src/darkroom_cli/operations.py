"""What a client can do, as flows: the one place where that is written.

`Client` and `AsyncClient` perform these flows; they add nothing of their own.
"""

import mimetypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from math import inf
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TypeAlias, TypeVar

from darkroom_cli import calls
from darkroom_cli.calls import Call
from darkroom_cli.errors import (
    ApiError,
    ClientError,
    TaskNotSucceededError,
    TransferError,
    UnexpectedAnswerError,
    UnreachableError,
    WaitTimeoutError,
)
from darkroom_cli.flows import Answer, Emit, Flow, Now, Part, Pause, Send, Together, Transfer
from darkroom_cli.limits import Limits
from darkroom_cli.tasks import Filter, Image, Submission, Task
from darkroom_cli.uploads import Ticket

T = TypeVar("T")

Progress: TypeAlias = Callable[[int, int], None]
"""Hears how many bytes have been moved, and of how many."""


@dataclass(frozen=True)
class Finished:
    """A task that succeeded, and its images on this machine."""

    task: Task
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Operations:
    """The flows, under these limits."""

    limits: Limits

    def ask(self, call: Call[T]) -> Flow[T]:
        """Make one call, again where that may help.

        Raises:
            ApiError: the API refused.
            UnreachableError: no answer came.
            UnexpectedAnswerError: the answer makes no sense.
        """
        answer = yield from self._insist(call.send, calls.read_error, repeatable=call.repeatable)
        return call.read(answer)

    def submit_many(self, submissions: Iterable[Submission]) -> Flow[list[Task | ApiError]]:
        """Ask for any number of tasks, `calls.BATCH` at a time."""
        whole = list(submissions)
        outcomes: list[Task | ApiError] = []
        for start in range(0, len(whole), calls.BATCH):
            outcomes += yield from self.ask(calls.submit_batch(whole[start : start + calls.BATCH]))
        return outcomes

    def list_tasks(self, which: Filter, limit: int | None) -> Flow[None]:
        """Emit tasks, newest first, at most `limit`, page by page as they are wanted."""
        left, cursor, seen = limit, None, set[str]()
        while left is None or left > 0:
            size = calls.PAGE if left is None else min(calls.PAGE, left)
            page = yield from self.ask(calls.list_page(which, size, cursor))
            for task in page.items[:size]:
                yield Emit(task)
            left = None if left is None else left - len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                return
            if cursor in seen:
                raise UnexpectedAnswerError("the API's pages lead in a circle")
            seen.add(cursor)

    def watch(self, id_: str, timeout: float | None) -> Flow[Task]:
        """Emit the task, and again whenever something about it changes, until it ends; that is the result."""
        return (yield from self._follow(id_, timeout, prefer=0))

    def wait(self, id_: str, timeout: float | None) -> Flow[Task]:
        """Look at the task until it ends."""
        return (yield from self._follow(id_, timeout, prefer=self.limits.polling.prefer))

    def _follow(self, id_: str, timeout: float | None, *, prefer: float) -> Flow[Task]:
        polling = self.limits.polling
        begun: float = yield Now()
        pause, shown = polling.first, None
        while True:
            asked: float = yield Now()
            left = inf if timeout is None else max(0.0, begun + timeout - asked)
            task = yield from self.ask(calls.get(id_, wait=min(prefer, left)))
            if (state := task.state()) != shown:
                shown, pause = state, polling.first
                yield Emit(task)
            if task.ended:
                return task
            taken: float = (yield Now()) - asked
            if timeout is not None and taken >= left:
                raise WaitTimeoutError(task, timeout)
            if pause > taken:  # an answer that was held back was a pause already
                yield Pause(min(pause - taken, left - taken))
            pause = min(pause * polling.growth, polling.longest)

    def run(self, submission: Submission, folder: Path, timeout: float | None) -> Flow[Finished]:
        """Submit, wait and download.

        Raises:
            TaskNotSucceededError: the task ended otherwise.
            WaitTimeoutError: it did not end in time.
        """
        task = yield from self.ask(calls.submit(submission))
        task = yield from self.wait(task.id, timeout)
        return Finished(task, (yield from self.download(task, folder)))

    def download(self, task: Task | str, folder: Path) -> Flow[tuple[Path, ...]]:
        """Fetch a task's images side by side; each file appears whole or not at all.

        Raises:
            TaskNotSucceededError: the task has ended without images, or has not ended.
        """
        if isinstance(task, str):
            task = yield from self.ask(calls.get(task))
        if not task.succeeded:
            raise TaskNotSucceededError(task)
        fetches = [self._fetch(task.id, image, folder) for image in task.images]
        files: list[Path] = yield Together(fetches, self.limits.transfers.at_once)
        return tuple(files)

    def _fetch(self, id_: str, image: Image, folder: Path) -> Flow[Path]:
        target = folder / _safe_name(image.uri)
        url, fresh = image.url, False
        if url is None:
            url, fresh = (yield from self._fresh_link(id_, image)), True
        try:
            answer = yield from self._insist(Transfer("GET", url, target=target), _transfer_error)
        except TransferError as error:
            if fresh or not error.refused:
                raise
            url = yield from self._fresh_link(id_, image)  # links expire
            answer = yield from self._insist(Transfer("GET", url, target=target), _transfer_error)
        return answer.saved or target

    def _fresh_link(self, id_: str, image: Image) -> Flow[str]:
        task = yield from self.ask(calls.get(id_))
        url = next((it.url for it in task.images if it.uri == image.uri), None)
        if url is None:
            raise TransferError(f"{image.uri} has no link to download it by")
        return url

    def preview(self, task: Task) -> Flow[bytes | None]:
        """What a running task shows so far, or None where it shows nothing."""
        if task.preview_url is None:
            return None
        answer = yield from self._insist(Transfer("GET", task.preview_url), _transfer_error)
        return answer.body

    def upload(self, path: Path, progress: Progress | None) -> Flow[str]:
        """Put a file where contents can name it; returns its `s3://` link.

        Raises:
            TransferError: the file cannot be read, or was refused.
        """
        try:
            size = path.stat().st_size
        except OSError as error:
            raise TransferError(f"{path} cannot be read: {error.strerror}") from error
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        ticket = yield from self.ask(calls.request_upload(path.name, size, kind))
        moved = _counter(progress, size)
        if ticket.url is not None:
            whole = Transfer("PUT", ticket.url, ticket.headers, source=Part(path, 0, size), moved=moved)
            yield from self._insist(whole, _transfer_error)
        else:
            yield from self._upload_parts(ticket, path, moved)
        return ticket.uri

    def _upload_parts(self, ticket: Ticket, path: Path, moved: Callable[[int], None] | None) -> Flow[None]:
        transfers = [Transfer("PUT", link.url, source=part, moved=moved) for link, part in ticket.stretches(path)]
        flows = [self._insist(transfer, _transfer_error) for transfer in transfers]
        answers: Sequence[Answer] = yield Together(flows, self.limits.transfers.at_once)
        tags = [answer.headers.get("etag", "") for answer in answers]
        yield from self.ask(calls.complete_upload(ticket, tags))

    def transfer(self, transfer: Transfer) -> Flow[Answer]:
        """Move a file, again where that may help.

        Raises:
            TransferError: it was refused.
        """
        return (yield from self._insist(transfer, _transfer_error))

    def _insist(
        self, effect: Send | Transfer, explain: Callable[[Answer], ClientError], *, repeatable: bool = True
    ) -> Flow[Answer]:
        """Perform an effect, again where that may help, until its answer is a good one."""
        for tried in count(1):
            try:
                answer: Answer = yield effect
                if answer.ok:
                    return answer
                error = explain(answer)
            except UnreachableError as fault:
                error = fault
            pause = self.limits.retries.pause(error, tried, repeatable=repeatable)
            if pause is None:
                raise error
            yield Pause(pause)
        raise AssertionError("count does not end")


def _transfer_error(answer: Answer) -> TransferError:
    reason = HTTPStatus(answer.status).phrase if answer.status in list(HTTPStatus) else "no HTTP status"
    return TransferError(f"the storage answered {answer.status} {reason}", status=answer.status)


def _safe_name(uri: str) -> str:
    """The last part of a link, as a name that stays in its folder."""
    name = PurePosixPath(uri).name.replace("\\", "_").replace("\0", "_")
    if name in {"", ".", ".."}:
        raise TransferError(f"{uri} has no name to save it under")
    return name


def _counter(progress: Progress | None, size: int) -> Callable[[int], None] | None:
    """What chunks report to; they may come from several threads."""
    if progress is None:
        return None
    lock, done = Lock(), 0

    def count_in(amount: int) -> None:
        nonlocal done
        with lock:
            done += amount
            progress(done, size)

    return count_in
