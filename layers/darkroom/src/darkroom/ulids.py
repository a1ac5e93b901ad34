"""ULIDs: names that sort by the time they were made (https://github.com/ulid/spec)."""

import secrets
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32: no I, L, O, U
_LENGTH = 26


def is_ulid(text: str) -> bool:
    """True for a ULID."""
    return len(text) == _LENGTH and all(character in _ALPHABET for character in text)


def make_ulid(now: datetime) -> str:
    """A new ULID: 48 bits of milliseconds, 80 bits of chance, as 26 characters."""
    number = int(now.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
