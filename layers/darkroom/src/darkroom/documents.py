"""The document of a pipeline: what a caller writes. `inspections` says what is wrong with one.

Limits: a document has at most 100 steps, since one execution of the state machine records at most 25,000 events and
a step takes some 40; a list in the document has at most 1,000 items.
"""

from enum import StrEnum, auto
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from darkroom.content import field_errors
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.models import JsonObject, Model
from darkroom.pipeline_notices import PipelineWebhook
from darkroom.requests import Context, Id, Name, Prefix
from darkroom.tasks import TaskType

MAX_STEPS = 100
MAX_ITEMS = 1000
MAX_DEADLINE = 14 * 24 * 3600
"""The longest that a pipeline may take, in seconds: its large requests are kept for 15 days."""

RESERVED = frozenset({"inputs", "item", "index"})
ANY_ERROR = "*"


def _check_step_id(text: str) -> str:
    if text in RESERVED:
        raise ValueError(f"{text!r} means something else in references")
    return text


StepId = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40), AfterValidator(_check_step_id)]


class InputType(StrEnum):
    """What a pipeline's input may be; an image is a link, a data URI or base64."""

    STRING = auto()
    INTEGER = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    IMAGE = auto()
    ARRAY = auto()
    OBJECT = auto()


PYTHON_TYPES: dict[InputType, tuple[type, ...]] = {
    InputType.STRING: (str,),
    InputType.INTEGER: (int,),
    InputType.NUMBER: (int, float),
    InputType.BOOLEAN: (bool,),
    InputType.IMAGE: (str,),
    InputType.ARRAY: (list,),
    InputType.OBJECT: (dict,),
}


def fits(type_: InputType, value: object) -> bool:
    """Whether a value is of an input's type. A boolean is no number."""
    if isinstance(value, bool):
        return type_ is InputType.BOOLEAN
    return isinstance(value, PYTHON_TYPES[type_])


def type_of(value: object) -> InputType:
    """The type of input that a value would be."""
    return next(type_ for type_ in InputType if fits(type_, value))


class Input(Model):
    """What a run may be given. One without a default must be given."""

    type: InputType
    default: Any = None
    description: str = ""

    @model_validator(mode="after")
    def _default_fits(self) -> "Input":
        if self.default is not None and not fits(self.type, self.default):
            raise ValueError(f"the default is no {self.type}")
        return self


def _as_input(value: object) -> object:
    """A plain value declares an input of its own type with that default."""
    if value is None or (isinstance(value, dict) and "type" in value) or isinstance(value, Input):
        return value
    return {"type": type_of(value), "default": value}


class Retry(Model):
    """How often a step's task is tried, counting the first time; waits double from `backoff_seconds` to an hour.

    `on` lists the error types after which it is tried again; `*` is any but a cancellation.
    """

    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    backoff_seconds: Annotated[float, Field(ge=0, le=3600)] = 1
    on: Annotated[tuple[str, ...], Field(min_length=1)] = (ANY_ERROR,)


class Step(Model):
    """One step: a task, or with `foreach` one for each item.

    `needs` are steps to wait for beside those that references name. `output` says whether its images are the
    pipeline's; where no step says so, those of the steps are that no other step waits for.
    """

    id: StepId
    runtime: Name
    type: TaskType
    content: JsonObject
    needs: tuple[str, ...] = ()
    foreach: list[Any] | str | None = None
    when: str | None = None
    retry: Retry = Retry(max_attempts=1)
    timeout_seconds: Annotated[int, Field(ge=1, le=MAX_DEADLINE)] | None = None
    on_failure: Literal["fail", "continue"] = "fail"
    output: bool | None = None


def _check_count(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Not a length of the field, which pydantic would also miss where a step is wrong."""
    if not 1 <= len(steps) <= MAX_STEPS:
        raise ValueError(f"has {len(steps)} steps, from 1 to {MAX_STEPS} are taken")
    return steps


InputName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=64)]
Plain = str | bool | float | list[Any]
PipelineId = Annotated[Id, Field(max_length=48)]
Deadline = Annotated[int, Field(ge=1, le=MAX_DEADLINE)]
Width = Annotated[int, Field(ge=1, le=MAX_ITEMS)]


class Document(Model):
    """A pipeline as it is written. `max_parallel` is how many of its tasks may be unfinished at once."""

    name: Id = "pipeline"
    id: PipelineId | None = None
    description: str = ""
    inputs: dict[InputName, Annotated[Input, BeforeValidator(_as_input, json_schema_input_type=Input | Plain)]] = (
        Field(default_factory=dict)
    )
    steps: Annotated[tuple[Step, ...], AfterValidator(_check_count)]
    deadline_seconds: Deadline | None = None
    max_parallel: Width | None = None
    prefix: Prefix = "pipelines"
    context: Context = Field(default_factory=dict)
    webhook: PipelineWebhook | None = None

    def step(self, id_: str) -> Step:
        """The step of that id.

        Raises:
            KeyError: there is none.
        """
        for step in self.steps:
            if step.id == id_:
                return step
        raise KeyError(id_)


class SavedRun(Model):
    """A run of a saved pipeline: its name, its version (the latest where it is absent), and inputs.

    What else is given takes the place of what the saved document says.
    """

    definition: str
    version: Annotated[int, Field(ge=1, strict=True)] | None = None
    inputs: JsonObject = Field(default_factory=dict)
    id: PipelineId | None = None
    deadline_seconds: Deadline | None = None
    max_parallel: Width | None = None
    prefix: Prefix | None = None
    context: Context = None
    webhook: PipelineWebhook | None = None

    @property
    def changes(self) -> JsonObject:
        """What takes the place of the saved document's fields."""
        return self.model_dump(mode="json", exclude={"definition", "version", "inputs"}, exclude_unset=True)


def read_document(body: object) -> Document:
    """Read a document's form; `inspections.check_document` looks at what it says.

    Raises:
        InvalidRequestError: fields are missing or wrong.
    """
    try:
        return Document.model_validate(body)
    except ValidationError as error:
        raise InvalidRequestError(fields=field_errors(error)) from error


def read_saved_run(body: object) -> SavedRun:
    """Read what names a saved pipeline.

    Raises:
        InvalidRequestError: fields are missing or wrong.
    """
    try:
        return SavedRun.model_validate(body)
    except ValidationError as error:
        raise InvalidRequestError(fields=field_errors(error)) from error


def bind_inputs(document: Document, given: JsonObject) -> JsonObject:
    """The inputs of one run: those given, and the defaults of the others.

    Raises:
        InvalidRequestError: one is missing, unknown, or of another type.
    """
    faults = [
        FieldError(
            f"inputs.{name}", f"the pipeline has no such input; it has: {', '.join(document.inputs) or 'none'}"
        )
        for name in given
        if name not in document.inputs
    ]
    values: JsonObject = {}
    for name, declared in document.inputs.items():
        value = given.get(name, declared.default)
        if value is None:
            faults.append(FieldError(f"inputs.{name}", f"is missing; it is a {declared.type} without a default"))
        elif not fits(declared.type, value):
            faults.append(FieldError(f"inputs.{name}", f"must be a {declared.type}"))
        values[name] = value
    if faults:
        raise InvalidRequestError(fields=faults)
    return values
