"""The runtimes that are deployed, and what each can do.

A runtime's stack writes one registry entry; the API reads them to say yes or no to a task before it is accepted.
"""

import re
from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from darkroom.models import Model
from darkroom.tasks import TaskType


class RuntimeType(StrEnum):
    """The kinds of runtime that every agent has an adapter for; there may be others, by adapters of their own."""

    SDWEBUI = auto()
    COMFYUI = auto()
    HTTP = auto()  # one's own, by the contract of docs/runtimes.md


TypeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", examples=[*RuntimeType])]
"""A kind of runtime by its name: that of the agent's adapter."""

TASK_TYPES: Mapping[str, frozenset[TaskType]] = {
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
}
"""What runtimes of a kind do. Others do what their stack lists; all where it lists nothing."""


class QueueDepth(Model):
    """What waits for a runtime, by SQS's count, which is approximate."""

    backlog: int
    in_flight: int
    dead_letters: int


class Runtime(BaseModel):
    """One deployed runtime.

    `model` is the checkpoint that a static runtime serves; a dynamic one loads what a task asks for. `agent` is the
    environment that its agents need, by the names of `darkroom_agent.settings`. `task_types`, `upscalers` and
    `samplers` are what the runtime does and has, where its stack lists them. `owners` and `output_prefix` are what
    its pods' role reaches (decision 17): the tasks of these keys, and this folder, where `*` stands for anything.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer stack may write more

    name: str
    type: TypeName
    task_types: frozenset[TaskType] = frozenset()
    model: str | None = None
    dynamic_model: bool = False
    role_arn: str | None = None
    queue_url: str | None = None
    dead_letter_queue_url: str | None = None
    upscalers: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    output_prefix: str = "*"
    agent: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("task_types", "upscalers", "samplers", "owners", mode="before")
    @classmethod
    def _without_blanks(cls, names: object) -> object:
        """CloudFormation makes a list of one empty text of an empty parameter."""
        return (
            [name for name in names if name != ""] if isinstance(names, list | tuple | set | frozenset) else names
        )

    @property
    def able(self) -> frozenset[TaskType]:
        """The types of tasks that it takes."""
        known = TASK_TYPES.get(self.type, frozenset(TaskType))
        return known & self.task_types if self.task_types else known

    def can_do(self, type_: TaskType) -> bool:
        """True where the runtime takes tasks of this type."""
        return type_ in self.able

    def serves(self, owner: str) -> bool:
        """True where its pods may touch the tasks of this owner."""
        return not self.owners or owner in self.owners or "*" in self.owners

    def may_write(self, prefix: str) -> bool:
        """True where its pods may write below this prefix, as IAM reads a pattern."""
        pattern = re.escape(f"{self.output_prefix}/").replace(r"\*", ".*")
        return re.match(pattern, f"{prefix}/") is not None

    def can_load(self, model: str | None) -> bool:
        """True where the runtime serves this checkpoint, as far as can be known without asking it."""
        return self.dynamic_model or model is None or not self.model or model == self.model
