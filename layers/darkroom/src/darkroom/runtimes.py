"""The runtimes that are deployed, and what each can do.

A runtime's stack writes one registry entry; the API reads them to say yes or no to a task before it is accepted.
"""

from collections.abc import Mapping
from enum import StrEnum, auto

from pydantic import BaseModel, ConfigDict, Field

from darkroom.tasks import TaskType


class RuntimeType(StrEnum):
    """The kinds of runtime that an agent has an adapter for."""

    SDWEBUI = auto()


TASK_TYPES: Mapping[RuntimeType, frozenset[TaskType]] = {
    RuntimeType.SDWEBUI: frozenset(
        {
            TaskType.TEXT_TO_IMAGE,
            TaskType.IMAGE_TO_IMAGE,
            TaskType.EXTRA_SINGLE_IMAGE,
            TaskType.EXTRA_BATCH_IMAGES,
        }
    ),
}


class Runtime(BaseModel):
    """One deployed runtime.

    `model` is the checkpoint that a static runtime serves; a dynamic one loads what a task asks for. `agent` is the
    environment that its agents need, by the names of `darkroom_agent.settings`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer stack may write more

    name: str
    type: RuntimeType
    model: str | None = None
    dynamic_model: bool = False
    role_arn: str | None = None
    agent: Mapping[str, str] = Field(default_factory=dict)

    def can_do(self, type_: TaskType) -> bool:
        """True where the runtime takes tasks of this type."""
        return type_ in TASK_TYPES[self.type]

    def can_load(self, model: str | None) -> bool:
        """True where the runtime serves this checkpoint, as far as can be known without asking it."""
        return self.dynamic_model or model is None or not self.model or model == self.model
