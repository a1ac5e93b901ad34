"""What a caller does with batches: submit, look, cancel, retry."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from darkroom.batch_answers import BatchDetails, BatchList, BatchSummary, ResultFile, progress_of
from darkroom.batch_files import Asked, BatchFiles, dump_defaults
from darkroom.batch_manifests import MAX_MANIFEST
from darkroom.batch_ports import BatchExecutions, BatchStore
from darkroom.batch_requests import BatchQuery, BatchRequest, check_manifest, format_of, read_request
from darkroom.batches import SHOWN_FAILURES, Batch, BatchEnd, BatchKey, BatchStatus, Counts
from darkroom.documents import MAX_DEADLINE
from darkroom.errors import BatchNotFoundError, FieldError, InvalidRequestError
from darkroom.models import JsonObject, to_text
from darkroom.pipeline_submissions import PipelineSubmissions
from darkroom.ports import BlobLinks, RuntimeRegistry
from darkroom.requests import fingerprint, is_id
from darkroom.restrictions import check_links
from darkroom.tasks import TaskError
from darkroom.webhooks import check_webhook


@dataclass(frozen=True)
class BatchDesk:
    """The use case. Manifests may also lie in `input_buckets`."""

    store: BatchStore
    files: BatchFiles
    pipelines: PipelineSubmissions
    executions: BatchExecutions
    links: BlobLinks
    input_buckets: frozenset[str] = frozenset()

    @property
    def _bucket(self) -> str:
        return self.pipelines.bucket

    @property
    def _registry(self) -> RuntimeRegistry:
        return self.pipelines.registry

    def submit(self, body: JsonObject, owner: str, fallback_id: str, now: datetime) -> Batch:
        """Accept a batch and start it. The same body again, with its id, changes nothing.

        Raises:
            RequestError: it cannot be accepted.
        """
        form = read_request(body)
        check_manifest(form.manifest, self._bucket, owner, self.input_buckets)
        if form.webhook is not None:
            check_webhook(form.webhook.target(), self.pipelines.webhook_networks)
        asked, definition = self._asked(form, owner)
        batch = self._batch(form, fallback_id, owner, now)
        batch = batch.model_copy(update={"definition": definition, "fingerprint": fingerprint(body)})
        old = self.store.get(batch.key)
        if old is None or old.fingerprint != batch.fingerprint:
            self._check_file(form.manifest)
            self.files.save(batch, asked)
            old = self.store.create(batch)
        if not old.status.ended:
            self._start(old, now)
        return old

    def _asked(self, form: BatchRequest, owner: str) -> tuple[Asked, str | None]:
        """What is asked for, and the name and version of a saved pipeline."""
        if form.pipeline is None:
            return Asked(defaults=self._defaults(form, owner)), None
        named, _, version = form.pipeline.partition("@") if isinstance(form.pipeline, str) else ("", "", "")
        body = form.pipeline if isinstance(form.pipeline, dict) else {"definition": named}
        if version and not version.isdecimal():
            raise InvalidRequestError(fields=[FieldError("pipeline", "must be a name, or name@number")])
        body = body | ({"version": int(version)} if version else {})
        try:
            document, given, definition = self.pipelines.read(body, owner)
        except InvalidRequestError as error:
            faults = [FieldError(f"pipeline.{it.field}", it.message) for it in error.fields]
            raise InvalidRequestError(fields=faults) from error
        return Asked(defaults=given, document=document.model_dump(mode="json")), definition

    def _defaults(self, form: BatchRequest, owner: str) -> JsonObject:
        defaults = form.defaults
        if defaults is None:
            return {}
        check_links(defaults.content, "defaults.content", self._bucket, owner)
        if defaults.webhook is not None:
            check_webhook(defaults.webhook, self.pipelines.webhook_networks, "defaults.webhook")
        if defaults.runtime is not None and defaults.runtime not in self._registry.all():
            known = ", ".join(sorted(self._registry.refresh()))
            if defaults.runtime not in self._registry.all():
                message = f"there is no runtime {defaults.runtime!r}; there is: {known or 'none is deployed yet'}"
                raise InvalidRequestError(fields=[FieldError("defaults.runtime", message)])
        return dump_defaults(defaults)

    def _check_file(self, manifest: str) -> None:
        try:
            size = self.files.rows.size(manifest)
        except FileNotFoundError as error:
            raise InvalidRequestError(fields=[FieldError("manifest", "there is no such file")]) from error
        if size > MAX_MANIFEST:
            message = f"is {size} bytes; at most {MAX_MANIFEST} are taken: divide it into several batches"
            raise InvalidRequestError(fields=[FieldError("manifest", message)])

    def _batch(self, form: BatchRequest, fallback_id: str, owner: str, now: datetime) -> Batch:
        id_ = form.id or fallback_id
        return Batch(
            owner=owner,
            id=id_,
            fingerprint="",
            folder=f"s3://{self._bucket}/.batches/{owner}/{id_}/{to_text(now)}",
            manifest=form.manifest,
            format=format_of(form),
            kind="tasks" if form.pipeline is None else "pipelines",
            results=f"s3://{self._bucket}/{form.prefix}/{id_}",
            created_at=now,
            started_at=now,
            expires_at=now + timedelta(seconds=form.deadline_seconds or MAX_DEADLINE),
            max_concurrency=form.max_concurrency,
            tolerated_failure_percentage=form.tolerated_failure_percentage,
            context=form.context,
            webhook=form.webhook.model_dump(mode="json") if form.webhook is not None else None,
        )

    def _start(self, batch: Batch, now: datetime) -> None:
        """Start the execution. Where that fails the batch does, too: nobody else would ever end it."""
        try:
            self.executions.start(batch)
        except Exception:
            error = TaskError(type="not_started", message="the execution could not be started", retryable=True)
            counts = Counts(succeeded=batch.kept)
            self.store.end(batch.key, batch.run, BatchEnd(now, BatchStatus.FAILED, error, counts))
            raise

    def get(self, owner: str, id_: str) -> Batch:
        """A batch of the owner's.

        Raises:
            BatchNotFoundError: there is none.
        """
        found = self.store.get(BatchKey(owner, id_)) if is_id(id_) else None
        if found is None:
            raise BatchNotFoundError(f"There is no batch {id_!r}.")
        return found

    def page(self, owner: str, query: BatchQuery) -> BatchList:
        """The owner's batches, newest first."""
        found = self.store.page(owner, query.limit, query.cursor)
        cursor = found[-1].position.to_cursor() if len(found) == query.limit else None
        return BatchList(items=tuple(map(BatchSummary.of, found)), next_cursor=cursor)

    def cancel(self, batch: Batch, now: datetime) -> Batch:
        """Cancel a batch. One that has ended stays as it is; what it has running is cancelled within moments.

        Where the execution cannot be stopped this may be repeated; meanwhile no further row begins.
        """
        error = TaskError(type="cancelled", message="the batch was cancelled")
        self.store.end(batch.key, batch.run, BatchEnd(now, BatchStatus.CANCELLED, error))
        ended = self.store.get(batch.key) or batch
        if ended.status is BatchStatus.CANCELLED and ended.counts is None:
            self.executions.stop(ended, error.type, error.message)
        return ended

    def retry(self, batch: Batch, now: datetime) -> Batch:
        """Run a batch again: rows that have succeeded are kept, all others run.

        Raises:
            BatchStateError: it runs, has succeeded, or is still being cleared up.
        """
        again = self.store.restart(batch.key, now, now + (batch.expires_at - batch.started_at))
        self._start(again, now)
        return again

    def detail(self, batch: Batch) -> BatchDetails:
        """A batch with its progress, its results and the first rows that failed."""
        progress, failures = progress_of(batch), batch.failures
        if batch.counts is None:
            progress = progress_of(batch, self.executions.counts(batch))
            failures = tuple(self.store.failures(batch.key, batch.run, SHOWN_FAILURES))
        settled = batch.counts is not None and batch.rows is not None
        return BatchDetails(
            **batch.public(),
            progress=progress,
            results=self._file(batch.results_file) if settled else None,
            failures=failures,
            failures_file=self._file(batch.failures_file) if settled else None,
        )

    def _file(self, link: str) -> ResultFile:
        return ResultFile(uri=link, url=self.links.to_get(link))
