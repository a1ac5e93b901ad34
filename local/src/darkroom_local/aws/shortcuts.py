"""What moto 5.2.5 works out anew for each request, although it is the same each time or not wanted.

A pipeline's step takes some seventy requests, so that this is most of what a local cloud costs.
"""

# moto keeps its serializers' methods private, and this module mends just those:
# ruff: noqa: SLF001

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jsonpath_ng.ext
from botocore.model import Shape
from jsonpath_ng.ext import parser
from moto.core import responses, utils
from moto.core.serialize import AttributePicker, ResponseSerializer
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.stepfunctions.parser.asl.utils import json_path

Moto = Any
"""What moto hands over and gets back."""


def _is_plain(serializer: ResponseSerializer, value: Moto) -> bool:
    picker: Any = vars(serializer)["_value_picker"]
    return type(value) is dict and not (isinstance(picker, AttributePicker) and picker.response_transformers)


def _serialize_structure(serialize: Callable[..., None]) -> Callable[..., None]:
    """Look for the members that a dictionary has, where it names them as AWS does.

    moto tries some ten other names for each member that is absent, and an attribute of DynamoDB has one of ten.
    """

    def serialize_structure(
        serializer: ResponseSerializer, serialized: Moto, value: Moto, shape: Moto, key: str
    ) -> None:
        if not _is_plain(serializer, value) or not value.keys() <= shape.members.keys():
            serialize(serializer, serialized, value, shape, key)
            return
        wrapper: Any = serializer.MAP_TYPE() if key else serialized
        for name in value:
            member: Any = shape.members[name]
            member.parent = shape
            serializer._serialize_structure_member(wrapper, value, member, name)
        if key:
            serializer._default_serialize(serialized, wrapper, shape, key)

    return serialize_structure


def _get_value(get: Callable[..., Moto]) -> Callable[..., Moto]:
    def get_value(serializer: ResponseSerializer, value: Moto, key: str, shape: Shape) -> Moto:
        return value[key] if _is_plain(serializer, value) and key in value else get(serializer, value, key, shape)

    return get_value


def _size(size: Callable[[DynamoType], int]) -> Callable[[DynamoType], int]:
    """The same size without copies: a query measures items twice, and moto copies a map at each of its levels."""

    def size_of(attribute: DynamoType) -> int:
        value = attribute.value
        if isinstance(value, str):
            return len(value) if value.isascii() else len(value.encode())
        if isinstance(value, dict):
            inner = (it if isinstance(it, DynamoType) else DynamoType(it) for it in value.values())
            return sum(len(name.encode()) for name in value) + sum(map(size_of, inner))
        return size(attribute)

    return size_of


def _all_items(table: Table) -> list[Item]:
    """A table's items in order. Each query sorts them, and moto casts two items' keys for each comparison."""
    found: list[Any] = list(table.items.values())
    items: list[Item] = [item for of_hash in found for item in of_hash.values()] if table.range_key_attr else found
    return sorted(items, key=lambda it: (it.hash_key.cast_value, it.range_key.cast_value if it.range_key else None))


def install() -> None:
    """Patches moto, for this process."""
    parse = lru_cache(maxsize=1024)(parser.parse)  # reads the grammar's tables for each path
    patches: tuple[tuple[Any, str, Any], ...] = (
        (
            ResponseSerializer,
            "_serialize_type_structure",
            _serialize_structure(ResponseSerializer._serialize_type_structure),
        ),
        (ResponseSerializer, "get_value", _get_value(ResponseSerializer.get_value)),
        (DynamoType, "size", _size(DynamoType.size)),
        (Table, "all_items", _all_items),
        (jsonpath_ng.ext, "parse", parse),
        (json_path, "parse", parse),
        (responses, "camelcase_to_underscores", lru_cache(maxsize=None)(utils.camelcase_to_underscores)),
        (responses, "method_names_from_class", lru_cache(maxsize=None)(utils.method_names_from_class)),
    )
    for owner, name, value in patches:
        setattr(owner, name, value)
