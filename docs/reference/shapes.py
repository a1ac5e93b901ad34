"""Answers that the routes put together by hand, and the guide's requests, as models to describe them by."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from darkroom.answers import TaskDetails
from darkroom.documents import Document
from darkroom.models import JsonObject, Model
from darkroom.requests import Context, Id, Name, Prefix
from darkroom.runtimes import TypeName
from darkroom.tasks import TaskType


class ProblemField(Model):
    """What is wrong with one field of the request. `field` is its path in the body: `content.init_images[0]`."""

    field: str
    message: str


class Problem(BaseModel):
    """Why a request was refused (RFC 9457).

    `type` tells programs what it is, `title` people. `detail` is about this request, `errors` about its fields.
    """

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int = Field(default=500)
    detail: str | None = None
    errors: list[ProblemField] | None = None
    request_id: str | None = None


class AcceptedItem(Model):
    """A task of a batch that was accepted."""

    status: Literal[200, 202]
    task: TaskDetails


class RefusedItem(Model):
    """A task of a batch that was refused."""

    status: Literal[400, 404, 409]
    problem: Problem


class BatchAnswer(Model):
    """What became of each task of a batch, in their order."""

    items: list[AcceptedItem | RefusedItem]


class Accepted(Model):
    """A task that was accepted, as the user guide has it."""

    id_task: str
    id: str
    output_location: str
    runtime: str | None = None
    sd_model_checkpoint: str | None = None


class Health(Model):
    """The API reaches what it needs."""

    status: Literal["ok"]
    version: str
    runtimes: dict[str, TypeName]


class GuideMetadata(BaseModel):
    """What the guide calls a task's metadata."""

    id: Id
    runtime: Name
    tasktype: TaskType
    prefix: Prefix
    context: Context = Field(default_factory=dict)


class GuideTask(BaseModel):
    """A task in the guide's form."""

    metadata: GuideMetadata
    content: JsonObject


class V1Alpha2(BaseModel):
    """The guide's request."""

    task: GuideTask


class GuideControls(BaseModel):
    """The guide's fields among the WebUI's scripts."""

    task: TaskType
    sd_model_checkpoint: Name
    id_task: Id
    save_dir: Prefix = "output"
    image_link: str | None = None


class V1Alpha1(BaseModel):
    """The guide's older request: the WebUI's own fields stand beside `alwayson_scripts`."""

    model_config = ConfigDict(extra="allow")

    alwayson_scripts: GuideControls
    prompt: Any = ""


class PipelineDocument(Document):
    """A pipeline: steps that build on each other, and what a run may be given. `docs/pipelines.md` explains it."""
