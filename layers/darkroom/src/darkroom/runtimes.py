"""The runtimes that are deployed, and what each can do.

A runtime's stack writes one registry entry; the API reads them to say yes or no to a task before it is accepted.
"""

from collections.abc import Mapping
from enum import StrEnum, auto

from pydantic import BaseModel, ConfigDict, Field, field_validator

from darkroom.models import Model
from darkroom.tasks import TaskType


class RuntimeType(StrEnum):
    """The kinds of runtime that an agent has an adapter for."""

    SDWEBUI = auto()
    COMFYUI = auto()
    HTTP = auto()  # one's own, by the contract of docs/runtimes.md


TASK_TYPES: Mapping[RuntimeType, frozenset[TaskType]] = {
    RuntimeType.SDWEBUI: frozenset(
        {
            TaskType.TEXT_TO_IMAGE,
            TaskType.IMAGE_TO_IMAGE,
            TaskType.EXTRA_SINGLE_IMAGE,
            TaskType.EXTRA_BATCH_IMAGES,
            TaskType.INTERROGATE,
        }
    ),
    RuntimeType.COMFYUI: frozenset({TaskType.PIPELINE}),
    RuntimeType.HTTP: frozenset(TaskType),
}


class QueueDepth(Model):
    """What waits for a runtime, by SQS's count, which is approximate."""

    backlog: int
    in_flight: int
    dead_letters: int


class Runtime(BaseModel):
    """One deployed runtime.

    `model` is the checkpoint that a static runtime serves; a dynamic one loads what a task asks for. `agent` is the
    environment that its agents need, by the names of `darkroom_agent.settings`. `upscalers` and `samplers` are what
    the runtime has, where its stack lists them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer stack may write more

    name: str
    type: RuntimeType
    model: str | None = None
    dynamic_model: bool = False
    role_arn: str | None = None
    queue_url: str | None = None
    dead_letter_queue_url: str | None = None
    upscalers: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()
    agent: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("upscalers", "samplers")
    @classmethod
    def _without_blanks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """CloudFormation makes a list of one empty text of an empty parameter."""
        return tuple(name for name in names if name)

    def can_do(self, type_: TaskType) -> bool:
        """True where the runtime takes tasks of this type."""
        return type_ in TASK_TYPES[self.type]

    def can_load(self, model: str | None) -> bool:
        """True where the runtime serves this checkpoint, as far as can be known without asking it."""
        return self.dynamic_model or model is None or not self.model or model == self.model
