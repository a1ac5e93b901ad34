"""The ports of pipelines in memory, for tests and for those who build on the domain."""

from datetime import datetime
from threading import Lock

from darkroom.errors import (
    DefinitionNotFoundError,
    PipelineConflictError,
    PipelineNotFoundError,
    PipelineStateError,
)
from darkroom.models import JsonObject
from darkroom.pipelines import Assignment, End, Pipeline, PipelineKey, PipelineStatus, StepRecord, restarted


class InMemoryPipelineStore:
    """A `PipelineStore` in dictionaries."""

    def __init__(self) -> None:
        self._pipelines: dict[PipelineKey, Pipeline] = {}
        self._steps: dict[PipelineKey, dict[str, StepRecord]] = {}
        self._assignments: dict[PipelineKey, dict[tuple[str, int], Assignment]] = {}
        self._lock = Lock()

    def create(self, pipeline: Pipeline) -> Pipeline:
        """See `PipelineStore.create`."""
        with self._lock:
            old = self._pipelines.setdefault(pipeline.key, pipeline)
        if old.fingerprint != pipeline.fingerprint:
            raise PipelineConflictError
        return old

    def get(self, key: PipelineKey) -> Pipeline | None:
        """See `PipelineStore.get`."""
        return self._pipelines.get(key)

    def page(self, owner: str, limit: int, before: str | None = None) -> list[Pipeline]:
        """See `PipelineStore.page`."""
        found = [it for it in self._pipelines.values() if it.owner == owner]
        found = [it for it in found if before is None or it.position < before]
        return sorted(found, key=lambda it: it.position, reverse=True)[:limit]

    def end(self, key: PipelineKey, run: int, end: End) -> bool:
        """See `PipelineStore.end`."""
        with self._lock:
            pipeline = self._pipelines.get(key)
            if pipeline is None or pipeline.status.ended or pipeline.run != run:
                return False
            self._pipelines[key] = pipeline.model_copy(update=end.values)
            return True

    def restart(self, key: PipelineKey, now: datetime, expires_at: datetime) -> Pipeline:
        """See `PipelineStore.restart`."""
        with self._lock:
            pipeline = self._pipelines.get(key)
            if pipeline is None:
                raise PipelineNotFoundError
            if pipeline.status not in {PipelineStatus.FAILED, PipelineStatus.CANCELLED}:
                raise PipelineStateError(f"The pipeline is {pipeline.status}.")
            self._pipelines[key] = restarted(pipeline, now, expires_at)
            return self._pipelines[key]

    def put_step(self, key: PipelineKey, record: StepRecord) -> None:
        """See `PipelineStore.put_step`."""
        self._steps.setdefault(key, {})[record.id] = record

    def steps(self, key: PipelineKey) -> dict[str, StepRecord]:
        """See `PipelineStore.steps`."""
        return dict(self._steps.get(key, {}))

    def put_assignment(self, key: PipelineKey, assignment: Assignment) -> None:
        """See `PipelineStore.put_assignment`."""
        self._assignments.setdefault(key, {})[assignment.step, assignment.index] = assignment

    def assignment(self, key: PipelineKey, step: str, index: int) -> Assignment | None:
        """See `PipelineStore.assignment`."""
        return self._assignments.get(key, {}).get((step, index))

    def assignments(self, key: PipelineKey, step: str | None = None) -> list[Assignment]:
        """See `PipelineStore.assignments`."""
        found = self._assignments.get(key, {})
        return [found[place] for place in sorted(found) if step is None or place[0] == step]


class InMemoryDefinitionStore:
    """A `DefinitionStore` in a dictionary."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], list[JsonObject]] = {}

    def save(self, owner: str, name: str, document: JsonObject, now: datetime) -> int:
        """See `DefinitionStore.save`."""
        del now
        versions = self._versions.setdefault((owner, name), [])
        if not versions or versions[-1] != document:
            versions.append(document)
        return len(versions)

    def load(self, owner: str, name: str, version: int | None = None) -> tuple[int, JsonObject]:
        """See `DefinitionStore.load`."""
        versions = self._versions.get((owner, name), [])
        number = len(versions) if version is None else version
        if not 1 <= number <= len(versions):
            raise DefinitionNotFoundError(f"You have no pipeline definition {name!r} of that version.")
        return number, versions[number - 1]

    def names(self, owner: str) -> dict[str, int]:
        """See `DefinitionStore.names`."""
        return {name: len(versions) for (of, name), versions in sorted(self._versions.items()) if of == owner}
