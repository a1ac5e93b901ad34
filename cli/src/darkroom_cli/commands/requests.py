"""The options of `submit` and `run`, and the submission that they make."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from darkroom.models import JsonObject
from darkroom.tasks import TaskType
from darkroom_cli.commands.completions import complete_runtime
from darkroom_cli.commands.progress import upload_bar
from darkroom_cli.commands.sessions import Session
from darkroom_cli.contents import Wishes, build_content, read_content
from darkroom_cli.errors import UsageError
from darkroom_cli.tasks import Submission

if TYPE_CHECKING:
    from darkroom_cli.client import Client

_CONTENT = "What to make"
_TASK = "The task"
_TYPES = f"One of {', '.join(TaskType)}; guessed from the rest where it is left out."
Text = str | None


def _option(*names: str, panel: str = _CONTENT, **more: Any) -> Any:  # noqa: ANN401  Typer's own types
    return typer.Option(*names, rich_help_panel=panel, **more)


@dataclass(frozen=True)
class RequestOptions:
    """What a task can be asked for with. Each field is an option."""

    prompt: Annotated[Text, _option("--prompt", help="What the image shows.")] = None
    negative_prompt: Annotated[Text, _option("--negative-prompt", help="What it does not.")] = None
    steps: Annotated[int | None, _option("--steps", help="Sampling steps, 1 to 150.")] = None
    size: Annotated[Text, _option("--size", metavar="WxH", help="In pixels, multiples of 8.")] = None
    count: Annotated[int | None, _option("--count", "-n", help="How many images.")] = None
    seed: Annotated[int | None, _option("--seed", help="The same seed makes the same image.")] = None
    sampler: Annotated[Text, _option("--sampler", help="The sampler's name.")] = None
    cfg_scale: Annotated[float | None, _option("--cfg-scale", help="How closely to follow the prompt.")] = None
    image: Annotated[
        list[str] | None,
        _option("--image", "-i", metavar="PATH|LINK", help="A picture to start from; repeat it for more."),
    ] = None
    mask: Annotated[Text, _option("--mask", metavar="PATH|LINK", help="Where to repaint the picture.")] = None
    denoise: Annotated[float | None, _option("--denoise", help="How far from the picture to go, 0 to 1.")] = None
    upscale: Annotated[float | None, _option("--upscale", help="Enlarge the picture so many times.")] = None
    upscaler: Annotated[Text, _option("--upscaler", help="By which upscaler, as in Lanczos.")] = None
    content: Annotated[
        Text,
        _option("--content", "-c", metavar="FILE|-", help="The whole content, as JSON; other options go on top."),
    ] = None
    settings: Annotated[
        list[str] | None,
        _option("--set", metavar="KEY=VALUE", help="Any other field of the content, at any depth: a.b.c=1."),
    ] = None

    type: Annotated[TaskType | None, _option("--type", "-t", panel=_TASK, metavar="TYPE", help=_TYPES)] = None
    runtime: Annotated[
        Text,
        _option("--runtime", "-r", panel=_TASK, help="Who makes it.", autocompletion=complete_runtime),
    ] = None
    model: Annotated[Text, _option("--model", "-m", panel=_TASK, help="With which checkpoint.")] = None
    id: Annotated[Text, _option("--id", panel=_TASK, help="A name of your own.")] = None
    prefix: Annotated[Text, _option("--prefix", panel=_TASK, help="The folder in the output bucket.")] = None
    context: Annotated[
        Text, _option("--context", panel=_TASK, metavar="JSON", help="Comes back in every message of the task.")
    ] = None
    priority: Annotated[Text, _option("--priority", panel=_TASK, metavar="low|normal|high")] = None
    deadline: Annotated[
        int | None,
        _option("--deadline", panel=_TASK, metavar="SECONDS", help="After which it is not wanted any more."),
    ] = None
    webhook: Annotated[Text, _option("--webhook", panel=_TASK, metavar="URL", help="Who is told.")] = None
    webhook_event: Annotated[
        list[str] | None,
        _option(
            "--webhook-event", panel=_TASK, metavar="EVENT", help="Of what, as in task.progress; its end otherwise."
        ),
    ] = None
    webhook_secret: Annotated[
        Text,
        _option("--webhook-secret", panel=_TASK, metavar="NAME", help="By which of your secrets it is signed."),
    ] = None
    format: Annotated[Text, _option("--format", panel=_TASK, metavar="png|jpeg|webp")] = None
    quality: Annotated[int | None, _option("--quality", panel=_TASK, help="Of jpeg and webp, 1 to 100.")] = None
    key: Annotated[
        Text, _option("--idempotency-key", panel=_TASK, help="Makes repeating this very command harmless.")
    ] = None


def read_request(options: RequestOptions, session: Session, client: "Client") -> Submission:
    """The submission that the options make; pictures on this machine are uploaded on the way.

    Raises:
        UsageError: they make none.
        ClientError: a picture could not be uploaded, or the runtimes not be asked for.
    """

    def upload(path: Path) -> str:
        with upload_bar(session, path) as bar:
            return client.upload(path, bar)

    type_, content = build_content(_wishes(options), upload)
    runtime = options.runtime or choose_runtime(type_, session, client)
    named: JsonObject = {
        "type": type_,
        "content": content,
        "runtime": runtime,
        "model": options.model,
        "id": options.id,
        "prefix": options.prefix,
        "context": _read_json(options.context, "--context"),
        "priority": options.priority,
        "deadline_seconds": options.deadline,
        "webhook": _webhook(options),
        "output": _given({"format": options.format, "quality": options.quality}),
    }
    return cast("Submission", {name: value for name, value in named.items() if value is not None})


def choose_runtime(type_: str, session: Session, client: "Client") -> str:
    """The profile's runtime; else the only one that does this.

    Raises:
        UsageError: there is none, or more than one.
    """
    if session.access.runtime is not None:
        return session.access.runtime
    able = [runtime.name for runtime in client.runtimes() if type_ in runtime.task_types]
    if len(able) == 1:
        return able[0]
    if not able:
        raise UsageError(f"No runtime does {type_}.", hint="`darkroom runtimes` lists those that are deployed.")
    hint = f"Name one: --runtime {able[0]}, or set it for good: `darkroom config set NAME --runtime {able[0]}`."
    raise UsageError(f"More than one runtime does {type_}: {', '.join(able)}.", hint=hint)


def _wishes(options: RequestOptions) -> Wishes:
    fields = {
        "prompt": options.prompt,
        "negative_prompt": options.negative_prompt,
        "steps": options.steps,
        "batch_size": options.count,
        "seed": options.seed,
        "sampler_name": options.sampler,
        "cfg_scale": options.cfg_scale,
        "denoising_strength": options.denoise,
        "upscaler_1": options.upscaler,
    }
    return Wishes(
        type=options.type,
        base=_read_file(options.content) if options.content is not None else None,
        fields=fields,
        size=options.size,
        images=options.image or (),
        mask=options.mask,
        upscale=options.upscale,
        settings=options.settings or (),
    )


def _read_file(name: str) -> JsonObject:
    if name == "-":
        return read_content(sys.stdin.read(), "stdin")
    try:
        return read_content(Path(name).read_text("utf-8"), name)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is no text") from error


def _read_json(text: str | None, option: str) -> object:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} takes JSON: {error}") from error


def _webhook(options: RequestOptions) -> JsonObject | None:
    named = {"url": options.webhook, "events": options.webhook_event, "secret_ref": options.webhook_secret}
    given = _given(named)
    if given and options.webhook is None:
        raise UsageError("--webhook-event and --webhook-secret need a --webhook URL.")
    return given


def _given(fields: JsonObject) -> JsonObject | None:
    return {name: value for name, value in fields.items() if value is not None} or None
