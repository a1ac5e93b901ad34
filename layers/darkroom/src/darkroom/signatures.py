"""Signatures of webhooks, as Standard Webhooks has them, and the secrets that make them.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Self

from pydantic import Field

from darkroom.errors import FieldError, InvalidRequestError, SignatureError
from darkroom.models import Model, Timestamp
from darkroom.webhooks import NAME

PREFIX = "whsec_"

DEFAULT_SECRET = "default"  # noqa: S105  its name

MAX_SECRETS = 10
"""How many secrets an owner may have."""

SECRET_BYTES = 32
"""The spec asks for 24 to 64."""

TOLERANCE = timedelta(minutes=5)
"""How far a webhook's timestamp may be from the receiver's clock, against replays; the spec's libraries agree."""

OVERLAP = timedelta(hours=24)
"""How long the secret before a rotation signs too: as long as a delivery may be tried."""


def new_secret() -> str:
    """A secret that nobody knows yet: `whsec_` and base64."""
    return PREFIX + b64encode(token_bytes(SECRET_BYTES)).decode()


def sign(secret: str, id_: str, timestamp: int, body: bytes) -> str:
    """One signature.

    Args:
        secret: with or without its prefix.
        id_: the header `webhook-id`.
        timestamp: the header `webhook-timestamp`, seconds since 1970.
        body: what is posted, byte for byte.
    """
    signed = f"{id_}.{timestamp}.".encode() + body
    key = b64decode(secret.removeprefix(PREFIX))
    return "v1," + b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def signature_headers(secrets: Iterable[str], id_: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers that let whoever knows one of the secrets verify the body."""
    timestamp = int(now.timestamp())
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(secret, id_, timestamp, body) for secret in secrets),
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Verify what was received, as a receiver does.

    Args:
        secret: with or without its prefix.
        headers: by their names in lower case.
        body: what was received, byte for byte.
        now: the receiver's time.

    Raises:
        SignatureError: a header is missing, the timestamp is too far from `now`, or no signature is by the secret.
    """
    try:
        id_, timestamp = headers["webhook-id"], int(headers["webhook-timestamp"])
        signatures = headers["webhook-signature"].split()
    except (KeyError, ValueError) as error:
        raise SignatureError("webhook-id, webhook-timestamp and webhook-signature are needed") from error
    if abs(now.timestamp() - timestamp) > TOLERANCE.total_seconds():
        raise SignatureError(f"the timestamp is more than {TOLERANCE.total_seconds():g} s from now")
    expected = sign(secret, id_, timestamp, body)
    if not any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in signatures):
        raise SignatureError


class SigningKeys(Model):
    """An owner's secret, and for a while the one before it."""

    current: str = Field(repr=False)
    created_at: Timestamp
    previous: str | None = Field(default=None, repr=False)
    previous_until: Timestamp | None = None

    @classmethod
    def new(cls, now: datetime) -> Self:
        """A first secret."""
        return cls(current=new_secret(), created_at=now)

    def rotated(self, now: datetime) -> Self:
        """A new secret; the one until now goes on signing for `OVERLAP`."""
        return self.model_copy(
            update={
                "current": new_secret(),
                "created_at": now,
                "previous": self.current,
                "previous_until": now + OVERLAP,
            }
        )

    def at(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign at this time, the newest first."""
        if self.previous is None or self.previous_until is None or self.previous_until <= now:
            return (self.current,)
        return (self.current, self.previous)


class WebhookSecret(Model):
    """A secret as its owner sees it. The one before it, where there is one, signs too until `previous_until`."""

    name: str
    secret: str = Field(repr=False)
    created_at: Timestamp
    previous: str | None = Field(default=None, repr=False)
    previous_until: Timestamp | None = None

    @classmethod
    def of(cls, name: str, keys: SigningKeys) -> Self:
        """An owner's secret of that name."""
        rest = keys.model_dump(include={"created_at", "previous", "previous_until"})
        return cls(name=name, secret=keys.current, **rest)


def is_secret_name(name: str) -> bool:
    """True for what a secret may be called."""
    return re.fullmatch(NAME, name) is not None


def check_secret_name(name: str) -> None:
    """Refuse what cannot be a secret's name.

    Raises:
        InvalidRequestError: it cannot.
    """
    if not is_secret_name(name):
        message = "is 1 to 64 letters, digits, '_' or '-', and begins with a letter or digit"
        raise InvalidRequestError(fields=[FieldError("name", message)])


def check_secret_count(names: Collection[str]) -> None:
    """Refuse one more secret to an owner who has these.

    Raises:
        InvalidRequestError: there are enough.
    """
    if len(names) >= MAX_SECRETS:
        raise InvalidRequestError(fields=[FieldError("name", f"you have {MAX_SECRETS} secrets already")])
