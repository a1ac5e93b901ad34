"""Webhooks: where a task's owner wants to be told of it, and which addresses that may be."""

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Annotated, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from darkroom.addresses import Address, Network, is_allowed
from darkroom.errors import FieldError, InvalidRequestError
from darkroom.models import Model

WebhookEvent: TypeAlias = Literal[
    "task.started", "task.progress", "task.succeeded", "task.failed", "task.cancelled", "task.expired"
]

PipelineWebhookEvent: TypeAlias = Literal["pipeline.succeeded", "pipeline.failed", "pipeline.cancelled"]

BatchWebhookEvent: TypeAlias = Literal["batch.succeeded", "batch.failed", "batch.cancelled"]

AnyWebhookEvent: TypeAlias = WebhookEvent | PipelineWebhookEvent | BatchWebhookEvent

ENDS: tuple[WebhookEvent, ...] = ("task.succeeded", "task.failed", "task.cancelled", "task.expired")

MAX_URL = 2048
"""The longest URL taken, in characters."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""What a secret may be called."""

_PRINTABLE = re.compile(r"[!-~]+")
_NAMES_OF_THIS_HOST = re.compile(r"(.*\.)?localhost", re.IGNORECASE)


def _check_form(url: str) -> str:
    """What can be said of a URL without knowing which networks are allowed."""
    if len(url) > MAX_URL or not _PRINTABLE.fullmatch(url):
        raise ValueError(
            f"a webhook's URL has at most {MAX_URL} characters, all printable ASCII "
            "(write an international name in its xn-- form, anything else in %-codes)"
        )
    parts = urlsplit(url)
    port = parts.port  # raises ValueError by itself
    if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0:
        raise ValueError("a webhook's URL is an https:// URL with a host")
    if "@" in parts.netloc:
        raise ValueError("a webhook's URL holds no credentials: its requests are signed")
    return url


def _check_events(events: tuple[WebhookEvent, ...]) -> tuple[WebhookEvent, ...]:
    """Not `min_length`: that would count an unknown event as a missing one, too."""
    if not events:
        raise ValueError("a webhook names at least one event")
    return events


Url = Annotated[str, AfterValidator(_check_form), Field(min_length=1, max_length=MAX_URL)]
SecretName = Annotated[str, Field(pattern=NAME)]


class Webhook(Model):
    """Where to post a task's events, which ones, and by which secret they are signed.

    `secret_ref` names one of the owner's secrets; where it is absent the owner's default one is taken.
    """

    url: Url
    events: Annotated[
        tuple[WebhookEvent, ...], AfterValidator(_check_events), Field(json_schema_extra={"minItems": 1})
    ] = ENDS
    secret_ref: SecretName | None = None


def check_webhook(webhook: Webhook, allowed: Iterable[Network] = (), at: str = "webhook") -> None:
    """Refuse, without a look-up, a webhook that could never be delivered.

    Names are looked up when the webhook is sent, and the addresses they have then are checked.

    Args:
        webhook: what the caller asked for.
        allowed: networks that may be posted to although they are not public, also over plain http.
        at: where the webhook stands in the body, for the message.

    Raises:
        InvalidRequestError: its URL is plain http, or names an address that is not public.
    """
    parts, networks = urlsplit(webhook.url), tuple(allowed)
    address = literal_address(parts)
    inside = address is not None and any(address in network for network in networks)
    if address is not None and not is_allowed(address, networks):
        raise InvalidRequestError(fields=[FieldError(f"{at}.url", "must not name an address that is not public")])
    if parts.scheme != "https" and not inside:
        raise InvalidRequestError(fields=[FieldError(f"{at}.url", "must begin with https://")])


def literal_address(url: SplitResult) -> Address | None:
    """The address that a URL's host writes out, in any form that resolvers take; None where it is a name.

    `127.1`, `0x7f000001` and `2130706433` are 127.0.0.1 to a resolver, too; so is `localhost`.
    """
    host = (url.hostname or "").rstrip(".")
    if _NAMES_OF_THIS_HOST.fullmatch(host):
        return ip_address("127.0.0.1")
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ip_address(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        return None
