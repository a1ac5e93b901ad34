"""A change of a task as an update of its item: the rule becomes the condition."""

from collections.abc import Iterator
from typing import Any

from darkroom.aws.task_items import Attribute, Item, encode
from darkroom.tasks import Change, Guard


class TaskUpdate:
    """A change in DynamoDB's words: `parameters` are those of an `UpdateItem`."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._names: dict[str, str] = {}
        self._values: Item = {}

    def parameters(self) -> dict[str, Any]:
        """The condition that the change's rule asks for, and what the change writes."""
        condition = " AND ".join(self._conditions())
        return {
            "ConditionExpression": condition,
            "UpdateExpression": self._assignments(),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
        }

    def _conditions(self) -> Iterator[str]:
        change = self._change
        sources = ", ".join(self._value(f"from{n}", {"S": s}) for n, s in enumerate(sorted(change.rule.sources)))
        yield f"{self._name('status')} IN ({sources})"
        if change.submission is not None:
            yield f"{self._name('created_at')} = {self._value('submission', encode('', change.submission))}"
        now = encode("", change.now)
        for guard in sorted(change.rule.guards):
            match guard:
                case Guard.FENCED:
                    yield f"{self._name('attempt')} = {self._value('attempt', {'N': str(change.attempt)})}"
                case Guard.LAPSED:
                    lease = self._name("lease_until")
                    yield f"(attribute_not_exists({lease}) OR {lease} <= {self._value('now', now)})"
                case Guard.DUE:
                    yield f"{self._name('expires_at')} <= {self._value('now', now)}"
                case Guard.NOT_DUE:
                    yield f"{self._name('expires_at')} > {self._value('now', now)}"

    def _assignments(self) -> str:
        change = self._change
        target = change.rule.target
        values = {"status": target, **change.values}
        if not target.ended:
            values["open"] = target
        added = {"attempt": change.claims, "dispatch": change.dispatches}
        parts = {
            "SET": [
                f"{self._name(n)} = {self._value(f'set_{n}', encode(n, v))}"
                for n, v in values.items()
                if v is not None
            ]
            + self._appended(),
            "ADD": [f"{self._name(n)} {self._value(f'add_{n}', {'N': str(v)})}" for n, v in added.items() if v],
            "REMOVE": [self._name(n) for n, v in values.items() if v is None]
            + ([self._name("open")] if target.ended else []),
        }
        return " ".join(f"{verb} {', '.join(terms)}" for verb, terms in parts.items() if terms)

    def _appended(self) -> list[str]:
        entry = self._change.entry
        if entry is None:
            return []
        history, none = self._name("history"), self._value("none", {"L": []})
        added = self._value("entry", encode("history", [entry]))
        return [f"{history} = list_append(if_not_exists({history}, {none}), {added})"]

    def _name(self, name: str) -> str:
        self._names[f"#{name}"] = name
        return f"#{name}"

    def _value(self, name: str, attribute: Attribute) -> str:
        self._values[f":{name}"] = attribute
        return f":{name}"
