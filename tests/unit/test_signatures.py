"""Signatures as Standard Webhooks has them."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest

from darkroom.errors import InvalidRequestError, SignatureError
from darkroom.signatures import SigningKeys, new_secret, sign, signature_headers, verify
from darkroom.webhook_testing import InMemorySigningKeys

# The vector of the specification's own libraries:
# https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
def test_the_signature_is_that_of_the_specifications_vector(secret: str) -> None:
    assert sign(secret, ID, 1614265330, BODY) == SIGNATURE


def test_the_headers_have_the_specifications_names_and_verify() -> None:
    headers = signature_headers([SECRET], ID, AT, BODY)

    assert headers == {"webhook-id": ID, "webhook-timestamp": "1614265330", "webhook-signature": SIGNATURE}
    verify(SECRET, headers, BODY, AT)


@pytest.mark.parametrize(
    ("change", "body", "later", "reason"),
    [
        ({}, BODY + b" ", 0, "No signature"),
        ({"webhook-id": "msg_other"}, BODY, 0, "No signature"),
        ({"webhook-timestamp": "1614265331"}, BODY, 0, "No signature"),
        ({"webhook-signature": "v1a," + SIGNATURE.partition(",")[2]}, BODY, 0, "No signature"),
        ({"webhook-signature": "v1,\N{BLACK STAR}"}, BODY, 0, "No signature"),
        ({}, BODY, 301, "the timestamp"),
        ({}, BODY, -301, "the timestamp"),
        ({"webhook-timestamp": "now"}, BODY, 0, "are needed"),
    ],
)
def test_what_was_changed_or_is_too_old_does_not_verify(
    change: dict[str, str], body: bytes, later: int, reason: str
) -> None:
    headers = signature_headers([SECRET], ID, AT, BODY) | change

    with pytest.raises(SignatureError, match=reason):
        verify(SECRET, headers, body, AT + timedelta(seconds=later))


def test_a_missing_header_does_not_verify() -> None:
    headers = signature_headers([SECRET], ID, AT, BODY)
    del headers["webhook-signature"]

    with pytest.raises(SignatureError):
        verify(SECRET, headers, BODY, AT)


def test_a_new_secret_is_the_specifications_length_and_another_each_time() -> None:
    one, other = new_secret(), new_secret()

    assert one != other
    assert one.startswith("whsec_")
    assert 24 <= len(b64decode(one.removeprefix("whsec_"))) <= 64


def test_for_a_day_after_a_rotation_both_secrets_verify_and_then_the_new_one_only() -> None:
    old = SigningKeys.new(AT)
    new = old.rotated(AT)
    during = signature_headers(new.at(AT + timedelta(hours=23)), ID, AT, BODY)
    after = signature_headers(new.at(AT + timedelta(hours=24)), ID, AT, BODY)

    for secret in (old.current, new.current):
        verify(secret, during, BODY, AT)
    verify(new.current, after, BODY, AT)
    with pytest.raises(SignatureError):
        verify(old.current, after, BODY, AT)


def test_a_secret_does_not_show_in_a_log() -> None:
    keys = SigningKeys.new(AT).rotated(AT)

    assert "whsec_" not in repr(keys)


@pytest.mark.parametrize("name", ["", "../other", "a/b", "a" * 65, "-a", "ä", "a\n"])
def test_what_cannot_be_a_secrets_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        InMemorySigningKeys().rotate("owner", name)
