"""What the models have in common: frozen, strict about names, times in one fixed form."""

from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer

JsonObject: TypeAlias = dict[str, Any]


def now() -> datetime:
    """The time in UTC, to the millisecond: what is written is what is read again."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def to_text(time: datetime) -> str:
    """The time as `2026-01-31T12:00:00.000Z`: of fixed width, so texts sort as times do."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[AwareDatetime, PlainSerializer(to_text, return_type=str, when_used="json")]
"""A time in UTC, to the millisecond on the wire."""


class Model(BaseModel):
    """A value: it never changes, and a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def shared_with(cls, other: BaseModel) -> JsonObject:
        """The fields of this model that a value of another one has, too."""
        return {name: getattr(other, name) for name in cls.model_fields if name in type(other).model_fields}

    def to_json(self) -> str:
        """The value as JSON text; optional fields that are absent are left out."""
        fields = type(self).model_fields.items()
        absent = {name for name, field in fields if field.default is None and getattr(self, name) is None}
        return self.model_dump_json(exclude=absent)


class LateModel(Model):
    """A value whose model is built when it is first used: what a cold start does not need must not slow it down.

    Building is not safe in several threads at once.
    """

    model_config = ConfigDict(defer_build=True)
