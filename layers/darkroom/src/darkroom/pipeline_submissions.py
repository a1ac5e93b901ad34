"""Accepting a pipeline: from a caller's document to a run that the state machine can begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from darkroom.addresses import Network
from darkroom.documents import MAX_DEADLINE, Document, bind_inputs, read_document
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.inspections import find_faults
from darkroom.models import JsonObject, to_text
from darkroom.pipeline_files import PipelineFiles
from darkroom.pipeline_ports import DefinitionStore, PipelineStore
from darkroom.pipelines import SHARED_OWNER, Pipeline, PipelineKey
from darkroom.ports import RuntimeRegistry
from darkroom.requests import fingerprint
from darkroom.ulids import make_ulid
from darkroom.webhooks import check_webhook


@dataclass(frozen=True)
class PipelineSubmissions:
    """The use case. `definitions` is absent where saved ones cannot be named."""

    store: PipelineStore
    files: PipelineFiles
    registry: RuntimeRegistry
    bucket: str
    definitions: DefinitionStore | None = None
    webhook_networks: tuple[Network, ...] = ()

    def check(self, body: object) -> Document:
        """Read a document and check what it says.

        Raises:
            InvalidRequestError: something is wrong; `fields` has the path of every fault.
        """
        document = read_document(body)
        if document.webhook is not None:
            check_webhook(document.webhook.target(), self.webhook_networks)
        faults = list(find_faults(document, self.registry.all()))
        if any(fault.field.endswith(".runtime") for fault in faults):  # it may have been deployed this minute
            faults = list(find_faults(document, self.registry.refresh()))
        if faults:
            raise InvalidRequestError(fields=faults)
        return document

    def submit(self, body: JsonObject, owner: str, now: datetime, id_: str | None = None) -> Pipeline:
        """Accept a document, or the name of a saved one with inputs: `{"definition", "version", "inputs"}`.

        Raises:
            InvalidRequestError: something is wrong with it.
            DefinitionNotFoundError: there is no such definition.
            PipelineConflictError: the id belongs to another pipeline.
        """
        source, given, definition = self._source(body, owner)
        document = self.check(source)
        inputs = bind_inputs(document, given)
        pipeline = self._pipeline(document, PipelineKey(owner, id_ or document.id or make_ulid(now)), now)
        pipeline = pipeline.model_copy(update={"definition": definition, "fingerprint": fingerprint(body)})
        self.files.save(pipeline, document, inputs)
        return self.store.create(pipeline)

    def _source(self, body: JsonObject, owner: str) -> tuple[object, JsonObject, str | None]:
        """The document, the inputs given, and the name and version of a saved one."""
        if "definition" not in body:
            return body, {}, None
        allowed: Mapping[str, type] = {"definition": str, "version": int, "inputs": dict, "id": str}
        faults = [
            FieldError(name, "is no field of a run of a saved pipeline")
            for name in body.keys() - {*allowed, "context", "webhook", "deadline_seconds", "max_parallel", "prefix"}
        ]
        faults += [
            FieldError(name, f"must be a {kind.__name__}")
            for name, kind in allowed.items()
            if name in body and not isinstance(body[name], kind)
        ]
        if faults or self.definitions is None:
            raise InvalidRequestError(fields=faults or [FieldError("definition", "cannot be named here")])
        version, saved = self.definitions.load(owner, body["definition"], body.get("version"))
        over: dict[str, Any] = {k: v for k, v in body.items() if k not in {"definition", "version", "inputs"}}
        return {**saved, **over}, body.get("inputs", {}), f"{body['definition']}@{version}"

    def _pipeline(self, document: Document, key: PipelineKey, now: datetime) -> Pipeline:
        deadline = timedelta(seconds=document.deadline_seconds or MAX_DEADLINE)
        return Pipeline(
            owner=key.owner,
            id=key.id,
            name=document.name,
            fingerprint="",
            folder=f"s3://{self.bucket}/.pipelines/{key.owner}/{key.id}/{to_text(now)}",
            created_at=now,
            started_at=now,
            expires_at=now + deadline,
            context=document.context,
            webhook=document.webhook.model_dump(mode="json") if document.webhook is not None else None,
        )

    def plan(self, input_: JsonObject, name: str, now: datetime) -> Pipeline:
        """The run that an execution is about: one that the API has accepted, or what the input itself describes.

        A document that was given to Step Functions becomes a pipeline of the whole account, named as the execution.

        Raises:
            InvalidRequestError: something is wrong with the document.
        """
        key, _ = key_of(input_, name)
        pipeline = self.store.get(key)
        if pipeline is None:
            pipeline = self.submit(input_, key.owner, now, key.id)
        return pipeline


def key_of(input_: Mapping[str, Any], name: str) -> tuple[PipelineKey, int]:
    """Which pipeline an execution of that input and name is about, and which run of it."""
    match input_.get("pipeline"):
        case {"owner": str(owner), "id": str(id_), "run": int(run)}:
            return PipelineKey(owner, id_), run
    return PipelineKey(SHARED_OWNER, name), 1
