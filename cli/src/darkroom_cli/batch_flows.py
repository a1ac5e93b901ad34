"""What a client can do with batches, as flows; `batch_clients` performs them."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from pydantic_core import to_json

from darkroom_cli.batches import Batch, BatchPage, BatchSubmission
from darkroom_cli.calls import PAGE, Call, make_reader
from darkroom_cli.errors import TransferError, WaitTimeoutError
from darkroom_cli.flows import Emit, Flow, Now, Pause, Send, Transfer
from darkroom_cli.operations import Operations, Progress

_PATH = "/v1/batches"


@dataclass(frozen=True)
class BatchFlows:
    """The flows; `does` makes the single steps."""

    does: Operations

    def submit(self, manifest: Path | str, asked: BatchSubmission, progress: Progress | None) -> Flow[Batch]:
        """Submit a batch. A manifest on this machine is uploaded first."""
        link = manifest if isinstance(manifest, str) and manifest.startswith("s3://") else None
        if link is None:
            link = yield from self.does.upload(Path(manifest), progress)
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
        body = to_json({"manifest": link, **asked})
        return (yield from self._ask(Send("POST", _PATH, headers=headers, body=body)))

    def get(self, id_: str) -> Flow[Batch]:
        """Look at a batch."""
        return (yield from self._ask(Send("GET", _place(id_))))

    def list(self, limit: int | None) -> Flow[None]:
        """Emit batches, newest first, at most `limit`, page by page as they are wanted."""
        left, cursor = inf if limit is None else limit, None
        while left > 0:
            query = {"limit": str(int(min(PAGE, left)))} | ({"cursor": cursor} if cursor else {})
            page: BatchPage = yield from self.does.ask(
                Call(Send("GET", _PATH, query=query), make_reader(BatchPage))
            )
            for batch in page.items:
                yield Emit(batch)
            left, cursor = left - len(page.items), page.next_cursor
            if cursor is None:
                return

    def follow(self, id_: str, timeout: float | None) -> Flow[Batch]:
        """Emit a batch, and again whenever its rows stand otherwise, until it ends; that is the result."""
        polling = self.does.limits.polling
        begun: float = yield Now()
        pause, shown = polling.first, None
        while True:
            batch = yield from self.get(id_)
            if (state := (batch.status, batch.progress, batch.results is None)) != shown:
                shown, pause = state, polling.first
                yield Emit(batch)
            if batch.ended:
                return batch
            left = inf if timeout is None else begun + timeout - (yield Now())
            if left <= 0:
                raise WaitTimeoutError(batch, timeout or 0)
            yield Pause(min(pause, left))
            pause = min(pause * polling.growth, polling.longest)

    def cancel(self, id_: str) -> Flow[Batch]:
        """Cancel a batch; one that has ended stays as it is."""
        return (yield from self._ask(Send("POST", f"{_place(id_)}/cancel")))

    def retry(self, id_: str) -> Flow[Batch]:
        """Run the rows of a batch that have not succeeded."""
        send = Send("POST", f"{_place(id_)}/retry")
        again: Batch = yield from self.does.ask(Call(send, make_reader(Batch), repeatable=False))
        return again

    def download(self, batch: Batch | str, target: Path, *, failures: bool) -> Flow[Path]:
        """Fetch a batch's results, or its failures, into a file.

        Raises:
            TransferError: there are none yet, or they could not be fetched or written.
        """
        found = (yield from self.get(batch)) if isinstance(batch, str) else batch
        file = found.failures_file if failures else found.results
        if file is None or file.url is None:
            raise TransferError(f"the batch {found.id} is {found.status}: its results are not there yet")
        answer = yield from self.does.transfer(Transfer("GET", file.url, target=target))
        return answer.saved or target

    def _ask(self, send: Send) -> Flow[Batch]:
        batch: Batch = yield from self.does.ask(Call(send, make_reader(Batch)))
        return batch


def _place(id_: str) -> str:
    return f"{_PATH}/{quote(id_, safe='')}"
