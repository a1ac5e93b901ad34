"""What the stack of one runtime (`sam/runtime.yaml`) is told, whoever deploys it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from darkroom.tasks import TaskType

CONTROL_PLANE: Mapping[str, str] = {
    "TasksTopicArn": "TasksTopicArn",
    "TasksTable": "TasksTable",
    "ResultsQueueUrl": "ResultsQueueUrl",
    "ResultsQueueArn": "ResultsQueueArn",
    "OutputBucket": "OutputS3Bucket",
    "OnDeadLetterFunction": "OnDeadLetterFunction",
    "OnDeadLetterRole": "OnDeadLetterRole",
    "ApiRole": "ApiRole",
}
"""Parameters of the runtime's stack, and the outputs of the control plane's stack that they take."""


@dataclass(frozen=True)
class RuntimeStack:
    """One runtime beside a control plane.

    Attributes:
        control_plane: the name of the control plane's stack.
        runtime: the runtime's name, as requests give it.
        type: its kind.
        model: the checkpoint that it serves or starts with; empty for none.
        dynamic_model: whether it loads the checkpoint that a task asks for.
        task_types: what it takes; nothing for all that its kind can do.
    """

    control_plane: str
    runtime: str
    type: str
    model: str = ""
    dynamic_model: bool = False
    task_types: tuple[TaskType, ...] = ()

    @property
    def name(self) -> str:
        """What the stack is called."""
        return stack_name(self.control_plane, self.runtime)

    def parameters(self, output: Callable[[str], str]) -> dict[str, str]:
        """The stack's parameters, but for those that say where in a cluster the pods run.

        `output` gives what stands for an output of the control plane: its value, or a variable that will hold it.
        """
        return {
            "ControlPlane": self.control_plane,
            "RuntimeName": self.runtime,
            "RuntimeType": self.type,
            "TaskTypes": ",".join(self.task_types),
            "ModelFilename": self.model,
            "DynamicModel": str(self.dynamic_model).lower(),
            **{parameter: output(key) for parameter, key in CONTROL_PLANE.items()},
        }


def stack_name(control_plane: str, runtime: str) -> str:
    """What a runtime's stack is called."""
    return f"{control_plane}-{runtime}"
