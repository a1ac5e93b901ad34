"""Decides by IAM policies, as far as actions and resources go.

Conditions are not evaluated: an `Allow` with a condition allows, a `Deny` with a condition denies nothing.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

ANY = ""
"""In place of an ARN: the request does not say which resource it means."""


class Access(NamedTuple):
    """One action on one resource (an ARN, or `""` where the request names none)."""

    action: str
    resource: str


def as_list(value: object) -> list[Any]:
    """Returns a list as it is, and anything else as a list of it: a policy may leave out the brackets."""
    return value if isinstance(value, list) else [value]


@lru_cache(maxsize=4096)
def _matcher(pattern: str, flags: int = 0) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, flags | re.DOTALL)


def _matches(statement: Mapping[str, Any], access: Access) -> bool:
    def any_of(element: str, value: str, flags: int = 0) -> bool:
        return any(_matcher(pattern, flags).fullmatch(value) for pattern in as_list(statement[element]))

    of_action = (
        any_of("Action", access.action, re.IGNORECASE)
        if "Action" in statement
        else not any_of("NotAction", access.action, re.IGNORECASE)
    )
    if not of_action:
        return False
    if access.resource == ANY:  # only a Deny of everything is sure to mean it
        return statement["Effect"] == "Allow" or "*" in as_list(statement.get("Resource", []))
    if "Resource" in statement:
        return any_of("Resource", access.resource)
    return not any_of("NotResource", access.resource)


def is_allowed(statements: Iterable[Mapping[str, Any]], access: Access) -> bool:
    """Tells whether some statement allows the access and none denies it."""
    allowed = False
    for statement in statements:
        if not _matches(statement, access):
            continue
        if statement["Effect"] == "Allow":
            allowed = True
        elif "Condition" not in statement:
            return False
    return allowed
