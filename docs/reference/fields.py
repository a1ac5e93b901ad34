"""What the fields mean, by schema, in the words that readers of the reference get."""

from collections.abc import Mapping

_TASK = {
    "id": "Its name among the owner's tasks.",
    "owner": "The id of the API key that it belongs to.",
    "display_name": "`time->type->status->id`, for lists that people read.",
    "runtime": "The runtime that does it.",
    "priority": "Runtimes may serve higher ones first.",
    "prefix": "The folder in the output bucket.",
    "output_location": "Where its outputs lie.",
    "model": "The checkpoint that it asks for.",
    "context": "What the caller gave along.",
    "pipeline_id": "The pipeline that it is a step of.",
    "attempt": "How often it was begun, over all submissions of its id.",
    "progress": "How far the running attempt is, from 0 to 1.",
    "output_url": "The runtime's whole answer, as JSON without the images.",
    "error": "Why it did not succeed; while it waits again, why the last attempt gave it back.",
    "expires_at": "The deadline: what has not ended by then expires.",
}

_PIPELINE = {
    "id": "Its name among the owner's pipelines.",
    "name": "What the document calls itself.",
    "run": "Its executions: one more with each retry.",
    "definition": "The saved pipeline that it is a run of, and its version: `poster@3`.",
    "context": "What the caller gave along.",
    "images": "The links of the first hundred images of its result.",
    "error": "Why it did not succeed.",
    "started_at": "When the present run began.",
    "expires_at": "The deadline: what has not ended by then fails.",
}

_BATCH = {
    "id": "Its name among the owner's batches.",
    "manifest": "The file that it works through.",
    "kind": "What a row is: a task, or the inputs of a run of a pipeline.",
    "definition": "The saved pipeline that rows are inputs of, and its version.",
    "run": "Its executions: one more with each retry.",
    "context": "What the caller gave along.",
    "error": "Why it did not succeed: `rows_failed`, `too_many_failures`, `manifest`, `deadline`, `cancelled` …",
    "started_at": "When the present run began.",
    "expires_at": "The deadline: what has not ended by then fails.",
}

FIELDS: Mapping[str, Mapping[str, str]] = {
    "BatchRequest": {
        "id": "A name of your own among your batches, 64 characters at most. A row's task is called `<id>-<row>`.",
        "manifest": "An `s3://` link: a file that you have uploaded, or one in a bucket that inputs may come from.",
        "format": "Only needed where the manifest's name does not say.",
        "defaults": "What tasks have where their rows say nothing else. Not with `pipeline`.",
        "pipeline": "A saved pipeline's name (`poster`, `poster@3`), or a document; rows are then inputs.",
        "max_concurrency": "How many rows are worked at side by side.",
        "tolerated_failure_percentage": "Once more than that have failed, no further row begins.",
        "deadline_seconds": "After so many seconds the batch fails, wherever it is. 14 days where it is absent.",
        "prefix": "The folder of the results, and of images whose rows name none.",
        "context": "Anything; it comes back in every message about the batch and its rows. At most 16 KB.",
        "webhook": "Where you want to be told of its end. Those of the rows stand in `defaults`.",
    },
    "BatchWebhook": {
        "url": "Where the end is posted to.",
        "events": "Which ends; all where it is absent.",
        "secret_ref": "Which of your secrets signs it; `default` where it is absent.",
    },
    "RowDefaults": {
        "content": "Fields of the content that rows do not name.",
        "context": "Merged over the batch's context, field by field.",
    },
    "BatchSummary": _BATCH,
    "BatchDetails": {
        **_BATCH,
        "results": "A line for each row that has begun; null while the batch runs.",
        "failures": "The first rows that failed, 20 at most.",
        "failures_file": "The lines of all rows that failed.",
    },
    "RowFailure": {
        "row": "Which row, counted from 1.",
        "id": "Its task or pipeline; null where none could be started.",
    },
    "RowError": {
        "type": "A short name, for programs; `invalid_row` where the row is wrong.",
        "message": "What happened, for people.",
        "retryable": "True where the same again may help.",
        "errors": "What is wrong where in the row.",
    },
    "TaskForm": {
        "id": (
            "A name of your own among your tasks: letters, digits, `.`, `_` and `-`. A ULID where it is absent."
        ),
        "runtime": "Which runtime is to do it; see `GET /v1/runtimes`.",
        "content": (
            "The body of the runtime's own API. Images may be links (`https://…`, `s3://…`), data URIs or base64. "
            "Fields that are not listed are passed on as they are."
        ),
        "prefix": "The folder in the output bucket; outputs lie at `<prefix>/<id>/`.",
        "context": "Anything; it comes back in every message about the task. At most 16 KB.",
        "model": "The checkpoint to use, where the runtime has several.",
        "deadline_seconds": "After so many seconds the task expires, wherever it is. A day where it is absent.",
        "priority": "Travels with the task; runtimes may serve higher ones first.",
        "webhook": "Where you want to be told.",
        "output": "How images are to be written.",
    },
    "Webhook": {
        "url": "Where events are posted to.",
        "events": "Which events; the ends of a task where it is absent.",
        "secret_ref": "Which of your secrets signs them; `default` where it is absent.",
    },
    "OutputOptions": {
        "format": "What images are converted to; they stay as they are where it is absent.",
        "quality": "Of JPEG and WebP; where it is absent, 90, and what has the format already stays as it is.",
        "strip_metadata": "Removes prompt and settings from the images.",
    },
    "TaskSummary": _TASK,
    "TaskDetails": {
        **_TASK,
        "queue_position": "About how many tasks are handed out until it is its turn, itself included.",
        "preview_url": "A link to what the running attempt has so far.",
        "output_download_url": "A link to the runtime's whole answer.",
        "attempts": "The attempts of the latest submission, oldest first.",
    },
    "TaskError": {
        "type": "A short name, for programs.",
        "message": "What happened, for people.",
        "retryable": "True where the same again may help.",
    },
    "PipelineDocument": {
        "name": "For people.",
        "id": "What to call this run; a ULID where it is absent. The same body under the same id runs once.",
        "description": "For people.",
        "inputs": "What a run may be given, by name. A plain value is a default and says the type.",
        "steps": "1 to 100, in an order in which each uses earlier ones only.",
        "deadline_seconds": "How long the whole may take; 14 days at most, and where it is absent.",
        "max_parallel": "How many of its tasks may be unfinished at once.",
        "prefix": "The folder in the output bucket; images lie at `<prefix>/<id>/<step>/`.",
        "context": "Anything; it comes back in every message about it and its tasks. At most 16 KB.",
        "webhook": "Where you want to be told of its end.",
    },
    "Step": {
        "id": "Letters, digits, `-` and `_`, beginning with a letter.",
        "runtime": "Which runtime is to do it; see `GET /v1/runtimes`.",
        "content": (
            "As of a task, with references anywhere: `${draft.images[0]}`, `${draft.info.seed}`, "
            "`${inputs.prompt}`; with `foreach` also `${item}` and `${index}`."
        ),
        "needs": "Steps to wait for, beside those that references name.",
        "foreach": "A list, or a reference to one: one task for each item, 1000 at most.",
        "when": "A condition such as `${draft.status} == 'succeeded'`; else the step is skipped.",
        "retry": "When it is tried again.",
        "timeout_seconds": "How long one task may take, waiting included.",
        "on_failure": "`fail`: the pipeline fails with it, and its siblings are cancelled. `continue`: it goes on.",
        "output": "Whether its images are the pipeline's. Where no step says so: those of the last ones.",
    },
    "Retry": {
        "max_attempts": "Attempts in all.",
        "backoff_seconds": "The first wait; each further one is twice as long, up to an hour.",
        "on": "The error types after which it is tried again; `*` is any but a cancellation or a wrong content.",
    },
    "Input": {
        "type": "An image is a link, a data URI or base64.",
        "default": "Used where none is given; an input without one must be given.",
        "description": "For people.",
    },
    "SavedRun": {
        "definition": "The name under which it was saved.",
        "version": "Which version; the latest where it is absent.",
        "inputs": "What the run is given.",
        "id": "What to call this run.",
    },
    "PipelineSummary": _PIPELINE,
    "PipelineDetails": {
        **_PIPELINE,
        "inputs": "What this run was given, defaults included.",
        "steps": "How each step stands, in the document's order.",
        "result": "A file with the links of all images, as JSON; null where it has not succeeded.",
    },
    "StepView": {
        "needs": "The steps that it waits for.",
        "items": "How many tasks it has.",
        "done": "How many of them have ended.",
        "images": "How many images it has made.",
        "progress": "From 0 to 1.",
        "error": "Why it did not succeed, or was skipped.",
    },
    "UploadForm": {
        "filename": "Its name, without folders.",
        "content_type": "Its media type.",
        "size": "Its size in bytes, at most 5 GB.",
    },
    "Upload": {
        "uri": "What contents name the file by.",
        "url": "Where to PUT the file, up to 64 MB.",
        "headers": "Headers that must come with that PUT.",
        "upload_id": "Names an upload in parts.",
        "part_size": "The size of each part but the last, in bytes.",
        "parts": "Where to PUT each part, above 64 MB.",
    },
    "RuntimeHealth": {
        "backlog": "Tasks that wait.",
        "in_flight": "Tasks that are being worked at.",
        "dead_letters": "Messages that no agent could handle.",
    },
    "RuntimeDetails": {
        "model": "The checkpoint that it serves.",
        "dynamic_model": "True where it loads the checkpoint that a task asks for.",
        "task_types": "What it can do.",
        "upscalers": "The upscalers that it has; empty where that is not known.",
        "samplers": "The samplers that it has; empty where that is not known.",
    },
}
