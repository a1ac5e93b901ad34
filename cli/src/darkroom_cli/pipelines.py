"""Pipelines through the API: submit, look, list, cancel, retry, save."""

import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from darkroom.models import JsonObject, now
from darkroom.ulids import make_ulid
from darkroom_cli.access import Access
from darkroom_cli.calls import Call
from darkroom_cli.errors import UnexpectedAnswerError
from darkroom_cli.flows import Answer, Send
from darkroom_cli.limits import Limits
from darkroom_cli.operations import Operations

ENDED = frozenset({"succeeded", "failed", "cancelled"})
_EVERY = 0.5


class PipelineClient:
    """Speaks to one Darkroom about pipelines. Use it in a `with` statement.

    Every method raises `ApiError` where the API says no, and `UnreachableError` where no answer comes.
    """

    def __init__(self, access: Access, limits: Limits | None = None) -> None:
        from darkroom_cli.performers import Performer

        limits = limits or Limits()
        self._does = Operations(limits)
        self._performer = Performer(access.url, access.api_key, limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._performer.close()

    def validate(self, document: JsonObject) -> JsonObject:
        """Have the API check a document: it alone knows which runtimes are deployed."""
        return self._ask("POST", "/v1/pipelines:validate", document)

    def submit(self, body: JsonObject) -> JsonObject:
        """Run a document, or a saved one with inputs. Its id is made here: a lost answer starts no second run."""
        return self._ask("POST", "/v1/pipelines", {"id": make_ulid(now()), **body})

    def get(self, id_: str) -> JsonObject:
        """A pipeline with its steps."""
        return self._ask("GET", f"/v1/pipelines/{quote(id_, safe='')}")

    def page(self, limit: int) -> list[JsonObject]:
        """The latest pipelines."""
        items: list[JsonObject] = self._ask("GET", "/v1/pipelines", query={"limit": str(limit)})["items"]
        return items

    def cancel(self, id_: str) -> JsonObject:
        """End a pipeline and its tasks."""
        return self._ask("POST", f"/v1/pipelines/{quote(id_, safe='')}/cancel")

    def retry(self, id_: str) -> JsonObject:
        """Run a pipeline again from its failed step on."""
        return self._ask("POST", f"/v1/pipelines/{quote(id_, safe='')}/retry", repeatable=False)

    def save(self, name: str, document: JsonObject) -> JsonObject:
        """Keep a document as the next version of a name."""
        return self._ask("PUT", f"/v1/pipeline-definitions/{quote(name, safe='')}", document)

    def watch(self, id_: str) -> Iterator[JsonObject]:
        """How a pipeline stands, again and again until it has ended."""
        while True:
            pipeline = self.get(id_)
            yield pipeline
            if pipeline["status"] in ENDED:
                return
            time.sleep(_EVERY)

    def _ask(
        self,
        method: str,
        path: str,
        body: JsonObject | None = None,
        *,
        query: dict[str, str] | None = None,
        repeatable: bool = True,
    ) -> JsonObject:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        send = Send(method, path, query=query or {}, headers=headers, body=content)
        found: JsonObject = self._performer.run(self._does.ask(Call(send, _read, repeatable)))
        return found


def _read(answer: Answer) -> Any:  # noqa: ANN401  JSON
    try:
        return json.loads(answer.body)
    except ValueError as error:
        raise UnexpectedAnswerError(f"the answer ({answer.status}) is no JSON") from error
