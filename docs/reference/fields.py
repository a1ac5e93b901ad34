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

FIELDS: Mapping[str, Mapping[str, str]] = {
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
        "quality": "For JPEG and WebP.",
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
