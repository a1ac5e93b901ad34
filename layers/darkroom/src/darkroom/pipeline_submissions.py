"""Accepting a pipeline: from a caller's document to a run that the state machine can begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from darkroom.addresses import Network
from darkroom.documents import MAX_DEADLINE, Document, bind_inputs, read_document, read_saved_run
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.inspections import find_faults, find_foreign_links, find_out_of_reach
from darkroom.models import JsonObject, to_text
from darkroom.pipeline_files import PipelineFiles
from darkroom.pipeline_ports import DefinitionStore, PipelineStore
from darkroom.pipelines import SHARED_OWNER, Pipeline, PipelineKey
from darkroom.ports import RuntimeRegistry
from darkroom.requests import fingerprint
from darkroom.restrictions import check_links
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

    def check(self, body: object, owner: str) -> Document:
        """Read a document and check what it says. `owner` is whose run it would be.

        Raises:
            InvalidRequestError: something is wrong; `fields` has the path of every fault.
        """
        document = read_document(body)
        if document.webhook is not None:
            check_webhook(document.webhook.target(), self.webhook_networks)
        faults = list(find_faults(document, self.registry.all()))
        if any(fault.field.endswith(".runtime") for fault in faults):  # it may have been deployed this minute
            faults = list(find_faults(document, self.registry.refresh()))
        faults += find_out_of_reach(document, self.registry.all(), owner)
        if owner != SHARED_OWNER:  # who may start executions may read the bucket, too
            faults += find_foreign_links(document, self.bucket, owner)
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
        document, given, definition = self.read(body, owner)
        inputs = self.bind(document, given, owner)
        pipeline = self.draft(document, PipelineKey(owner, id_ or document.id or make_ulid(now)), now)
        pipeline = pipeline.model_copy(update={"definition": definition, "fingerprint": fingerprint(body)})
        return self.keep(pipeline, document, inputs)

    def read(self, body: JsonObject, owner: str) -> tuple[Document, JsonObject, str | None]:
        """The checked document that a body is or names, the inputs given, and the name and version of a saved one.

        Raises:
            InvalidRequestError: something is wrong with it.
            DefinitionNotFoundError: there is no such definition.
        """
        source, given, definition = self._source(body, owner)
        return self.check(source, owner), given, definition

    def bind(self, document: Document, given: JsonObject, owner: str) -> JsonObject:
        """The inputs of one run: those given, and the defaults of the others.

        Raises:
            InvalidRequestError: one is missing, unknown, of another type, or links to another owner's file.
        """
        inputs = bind_inputs(document, given)
        if owner != SHARED_OWNER:
            check_links(inputs, "inputs", self.bucket, owner)
        return inputs

    def keep(self, pipeline: Pipeline, document: Document, inputs: JsonObject) -> Pipeline:
        """Write a run down.

        Raises:
            PipelineConflictError: the id belongs to another pipeline.
        """
        self.files.save(pipeline, document, inputs)
        return self.store.create(pipeline)

    def _source(self, body: JsonObject, owner: str) -> tuple[object, JsonObject, str | None]:
        """The document, the inputs given, and the name and version of a saved one."""
        if "definition" not in body:
            return body, {}, None
        if self.definitions is None:
            raise InvalidRequestError(fields=[FieldError("definition", "cannot be named here")])
        run = read_saved_run(body)
        version, saved = self.definitions.load(owner, run.definition, run.version)
        return {**saved, **run.changes}, run.inputs, f"{run.definition}@{version}"

    def draft(self, document: Document, key: PipelineKey, now: datetime) -> Pipeline:
        """A run of a document, not yet written down."""
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
