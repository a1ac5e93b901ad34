"""Every error of Darkroom, in one tree.

::

    DarkroomError
    ├── RequestError                what a caller can mend
    │   ├── MalformedBodyError      the body is no JSON object
    │   ├── BodyTooLargeError       the body is larger than the API takes
    │   ├── InvalidRequestError     fields are missing or wrong; `fields` names them
    │   ├── UnknownRuntimeError     nothing is deployed under that name, or for that model
    │   ├── UnsupportedTaskError    the runtime cannot do that type of task, or has another model
    │   ├── TaskConflictError       the id belongs to an unfinished task with another body
    │   ├── ForbiddenError          the caller's key may not do this
    │   ├── TaskUnfinishedError     only a task that has ended can be deleted
    │   ├── TaskNotRetryableError   only a task that ended without success can be retried
    │   ├── TaskNotFoundError       the caller has no task of that id
    │   ├── RuntimeNotFoundError    there is no runtime of that name
    │   ├── UploadNotFoundError     the caller has no upload under way there
    │   └── UnknownSecretError      the caller has no webhook secret of that name
    │   (pipelines: PipelineConflictError, PipelineNotFoundError, PipelineStateError, DefinitionNotFoundError)
    │   (batches: BatchConflictError, BatchNotFoundError, BatchStateError)
    ├── TransitionRefusedError      a task's state does not allow the change; `refusal` says why
    ├── MessageError                a message that is not one of ours
    ├── SignatureError              a webhook that was not signed by the secret, or not just now
    ├── BlobTooLargeError           a file is larger than its reader takes
    ├── PipelineStoppedError        the pipeline has ended; whoever works at it must stop
    ├── StepFailedError             a step cannot be started
    ├── BatchStoppedError           the batch has ended; whoever works at it must stop
    ├── ManifestError               a batch's manifest cannot be taken
    ├── RowEndedError               the row has succeeded already
    ├── RowFailedError              a row of a batch has failed
    └── ExecutionError              running a task went wrong
        ├── TaskFailedError         it will go wrong again: the task ends
        └── TaskInterruptedError    it may go right elsewhere or later: the task is tried again

A class's docstring is its default message.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darkroom.tasks import Refusal, Task


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of a request.

    `field` is its path in the body (`task.metadata.id`, `task.content.init_images[0]`).
    """

    field: str
    message: str


class DarkroomError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])


class RequestError(DarkroomError):
    """The request cannot be accepted."""

    def __init__(self, message: str | None = None, fields: Iterable[FieldError] = ()) -> None:
        super().__init__(message)
        self.fields = tuple(fields)

    @property
    def whole(self) -> str:
        """The message with what is wrong where, for those who see nothing but a text."""
        return "; ".join([str(self), *(f"{it.field}: {it.message}" for it in self.fields)])


class MalformedBodyError(RequestError):
    """The body is not a JSON object."""


class BodyTooLargeError(RequestError):
    """The body is too large."""


class InvalidRequestError(RequestError):
    """The request has fields that are missing or wrong."""


class UnknownRuntimeError(RequestError):
    """There is no such runtime."""


class UnsupportedTaskError(RequestError):
    """The runtime cannot do this."""


class TaskConflictError(RequestError):
    """An unfinished task with another body has this id."""


class TaskNotFoundError(RequestError):
    """There is no such task."""


class UnknownSecretError(RequestError):
    """There is no such webhook secret."""


class ForbiddenError(RequestError):
    """This key may not do that."""


class TaskUnfinishedError(RequestError):
    """The task has not ended: cancel it first."""


class TaskNotRetryableError(RequestError):
    """Only a task that ended without success can be retried."""


class RuntimeNotFoundError(RequestError):
    """There is no such runtime."""


class UploadNotFoundError(RequestError):
    """There is no such upload under way."""


class TransitionRefusedError(DarkroomError):
    """The task's state does not allow this.

    Attributes:
        refusal: why.
        task: the task as it is, None where there is none.
    """

    def __init__(self, refusal: "Refusal", task: "Task | None") -> None:
        super().__init__(f"refused: {refusal.value}")
        self.refusal = refusal
        self.task = task


class MessageError(DarkroomError):
    """The message is not one of Darkroom's."""


class SignatureError(DarkroomError):
    """No signature of the webhook is by this secret."""


class BlobTooLargeError(DarkroomError):
    """The file is too large."""


class ExecutionError(DarkroomError):
    """Running the task went wrong.

    Attributes:
        type: a short name of the fault that programs can match (`model_not_found`).
    """

    def __init__(self, type_: str, message: str) -> None:
        super().__init__(message)
        self.type = type_


class TaskFailedError(ExecutionError):
    """The task cannot succeed."""


class TaskInterruptedError(ExecutionError):
    """The task could not be finished here and now."""


class PipelineConflictError(RequestError):
    """Another pipeline has this id."""


class PipelineNotFoundError(RequestError):
    """There is no such pipeline."""


class PipelineStateError(RequestError):
    """The pipeline's state does not allow this."""


class DefinitionNotFoundError(RequestError):
    """There is no such pipeline definition."""


class PipelineStoppedError(DarkroomError):
    """The pipeline has ended, or a later run of it is on."""


class StepFailedError(DarkroomError):
    """The step cannot be started."""


class BatchConflictError(RequestError):
    """Another batch has this id."""


class BatchNotFoundError(RequestError):
    """There is no such batch."""


class BatchStateError(RequestError):
    """The batch's state does not allow this."""


class BatchStoppedError(DarkroomError):
    """The batch has ended, or a later run of it is on."""


class ManifestError(DarkroomError):
    """The manifest cannot be taken."""


class RowEndedError(DarkroomError):
    """The row has succeeded already."""


class RowFailedError(DarkroomError):
    """The row has failed."""
