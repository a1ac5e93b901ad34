"""`darkroom webhooks verify`."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from darkroom.errors import SignatureError
from darkroom.models import now
from darkroom.signatures import verify as verify_signature
from darkroom_cli.commands.registration import command
from darkroom_cli.commands.sessions import Session
from darkroom_cli.errors import UsageError, WebhookError
from darkroom_cli.settings import ClientSettings

app = typer.Typer(no_args_is_help=True, help="Check what a webhook brought.")


@command(
    app,
    examples=(
        "export DARKROOM_WEBHOOK_SECRET=whsec_…",
        'darkroom webhooks verify body.json --id "$ID" --timestamp "$TIMESTAMP" --signature "$SIGNATURE"',
        'darkroom webhooks verify - --header "webhook-id: …" --header … < body.json',
    ),
)
def verify(
    session: Session,
    body: Annotated[str, typer.Argument(metavar="FILE|-", help="The body as it came, byte for byte.")],
    *,
    id_: Annotated[str | None, typer.Option("--id", help="The header webhook-id.")] = None,
    timestamp: Annotated[str | None, typer.Option(help="The header webhook-timestamp.")] = None,
    signature: Annotated[str | None, typer.Option(help="The header webhook-signature.")] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="Or all of them so.")
    ] = None,
    secret: Annotated[
        str | None, typer.Option(help="The secret, whsec_…; better kept in DARKROOM_WEBHOOK_SECRET.")
    ] = None,
    any_time: Annotated[
        bool, typer.Option("--any-time", help="Also where it was sent more than five minutes ago.")
    ] = False,
) -> None:
    """Check a webhook's signature (Standard Webhooks). Ends with code 1 where it does not hold."""
    headers = _headers(header or ()) | {
        name: value
        for name, value in (
            ("webhook-id", id_),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signature),
        )
        if value is not None
    }
    key = secret or _kept_secret()
    moment = _sent_at(headers) if any_time else now()
    try:
        verify_signature(key, headers, _read(body), moment)
    except (SignatureError, ValueError) as error:
        raise WebhookError(f"The signature does not hold: {error}") from error
    if session.json:
        session.give_json({"valid": True, "id": headers["webhook-id"]})
    else:
        session.say(f"[green]The signature holds:[/] {headers['webhook-id']} is from who knows the secret.")


def _headers(lines: Iterable[str]) -> dict[str, str]:
    pairs = (line.partition(":")[::2] for line in lines)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _kept_secret() -> str:
    kept = ClientSettings.from_environment().webhook_secret
    if kept is None:
        hint = "Say --secret, or set DARKROOM_WEBHOOK_SECRET."
        raise UsageError("A signature is checked with the webhook's secret.", hint=hint)
    return kept.get_secret_value()


def _sent_at(headers: dict[str, str]) -> datetime:
    try:
        return datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError) as error:
        raise UsageError("webhook-timestamp is missing, or no number of seconds.") from error


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
