"""Conditions of steps: `when` in a pipeline's document.

A condition is one comparison (`${draft.status} == 'succeeded'`, `'cat' in ${draft.info.prompt}`) or one value. A
value holds unless it is empty, zero, false or null; `not` before it turns it around.

Values are references, JSON, and text in single quotes.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from darkroom.references import Json, Look, Mention, mentions, resolve

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "in": lambda item, container: item in container,
}
_OPERAND = r"""\$\{[^{}]*\}|'[^']*'|"(?:[^"\\]|\\.)*"|\[[^\[\]]*\]|[^\s'"$<>=!]+"""
_FORM = re.compile(
    rf"\s*(?P<negated>not\s+)?(?P<left>{_OPERAND})\s*(?:(?P<operator>==|!=|<=|>=|<|>|\bin\b)\s*(?P<right>{_OPERAND})\s*)?"
)


class ConditionError(ValueError):
    """The text is no condition."""


@dataclass(frozen=True)
class Condition:
    """A condition, read. `operator` is None where it is one value."""

    left: Json
    operator: str | None = None
    right: Json = None
    negated: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a condition.

        Raises:
            ConditionError: it is none.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ConditionError("is no condition, such as ${draft.status} == 'succeeded'")
        right = None if match["right"] is None else _operand(match["right"])
        return cls(_operand(match["left"]), match["operator"], right, match["negated"] is not None)

    def mentions(self, at: str) -> Iterator[Mention]:
        """The references in it."""
        for operand in (self.left, self.right):
            yield from mentions(operand, at)

    def holds(self, look: Look) -> bool:
        """Whether it is so.

        Values of different types are unequal, and neither is larger.

        Raises:
            ReferenceFailedError: a reference finds nothing.
        """
        left, right = resolve(self.left, look), resolve(self.right, look)
        try:
            found = bool(left) if self.operator is None else bool(_OPERATORS[self.operator](left, right))
        except TypeError:
            found = False
        return found is not self.negated


def _operand(text: str) -> Json:
    if text.startswith("${"):
        return text
    if text.startswith("'"):
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        raise ConditionError(f"{text!r} is neither a reference nor JSON; put text in quotes") from None
