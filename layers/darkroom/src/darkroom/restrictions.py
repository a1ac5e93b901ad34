"""What a content may not name, though it has the right form: others' files, and tools that the runtime lacks."""

from collections.abc import Iterator

from darkroom.content import extend_path
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.models import JsonObject
from darkroom.requests import UPLOADS
from darkroom.runtimes import Runtime

_UPSCALERS = ("upscaler_1", "upscaler_2")
_SAMPLERS = ("sampler_name", "sampler_index")
_NO_UPSCALER = "None"  # the WebUI's own name for it


def check_links(content: JsonObject, at: str, bucket: str, owner: str) -> None:
    """Refuse links to what others have uploaded or asked for.

    Args:
        content: what the caller sent.
        at: where it stands in the body.
        bucket: the output bucket.
        owner: who sent it.

    Raises:
        InvalidRequestError: fields name a file of the bucket that is not the owner's; they are named.
    """
    faults = list(foreign_links(content, at, bucket, owner))
    if faults:
        raise InvalidRequestError(fields=faults)


def foreign_links(value: object, at: str, bucket: str, owner: str) -> Iterator[FieldError]:
    """The links in a value that are to files of the bucket that are not the owner's."""
    for path, text in _texts(value, at):
        if _is_foreign(text, bucket, owner):
            yield FieldError(path, "is a file of another owner's; name one that you have uploaded")


def check_names(content: JsonObject, at: str, runtime: Runtime) -> None:
    """Refuse upscalers and samplers that the runtime does not have, where it lists what it has.

    Raises:
        InvalidRequestError: fields name others; the messages say which there are.
    """
    faults = list(unknown_names(content, at, runtime))
    if faults:
        raise InvalidRequestError(fields=faults)


def unknown_names(content: JsonObject, at: str, runtime: Runtime) -> Iterator[FieldError]:
    """The upscalers and samplers in a content that the runtime does not have."""
    known = dict.fromkeys(_UPSCALERS, (_NO_UPSCALER, *runtime.upscalers) if runtime.upscalers else ())
    known |= dict.fromkeys(_SAMPLERS, runtime.samplers)
    for field, having in known.items():
        if having and isinstance(content.get(field), str) and not _has(having, content[field]):
            message = f"the runtime {runtime.name!r} has no {content[field]!r}; it has: {', '.join(having)}"
            yield FieldError(extend_path(at, field), message)


def out_of_reach(runtime: Runtime, owner: str, prefix: str) -> Iterator[FieldError]:
    """What the runtime's pods have no right to: there it would fail only after all attempts."""
    if not runtime.serves(owner):
        yield FieldError("runtime", f"the runtime {runtime.name!r} takes tasks of other API keys only")
    if not runtime.may_write(prefix):
        message = f"the runtime {runtime.name!r} writes to {runtime.output_prefix!r} only, and below it"
        yield FieldError("prefix", message)


def _has(having: tuple[str, ...], name: str) -> bool:
    return name.casefold() in {own.casefold() for own in having}  # the WebUI finds samplers so


def _is_foreign(text: str, bucket: str, owner: str) -> bool:
    """True for links to what is not the owner's. Agents take space around a link, and its scheme in any case.

    No prefix begins with a dot: folders that do are Darkroom's own.
    """
    scheme, _, rest = text.strip().partition("://")
    own_bucket, _, key = rest.partition("/")
    if scheme.lower() != "s3" or own_bucket != bucket:
        return False
    folder, _, below = key.partition("/")
    return folder.startswith(".") or (folder == UPLOADS and not below.startswith(f"{owner}/"))


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Every text in a content, with its path; contents are not deep (`bodies.MAX_DEPTH`)."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, extend_path(path, index))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, extend_path(path, name))
