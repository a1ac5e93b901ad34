"""Webhook secrets in the SSM parameter store: one encrypted parameter each, `<path>/<owner>/<name>`."""

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from darkroom.errors import UnknownSecretError
from darkroom.models import now
from darkroom.signatures import DEFAULT_SECRET, SigningKeys, check_secret_count, check_secret_name, is_secret_name

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

MAX_AGE = 60.0
"""How long an answer may be used again, in seconds."""


class SsmSigningKeys:
    """A `SigningKeyStore` of the parameters below `path` (`/<stack>/webhooks`)."""

    def __init__(self, client: "SSMClient", path: str) -> None:
        self._client = client
        self._path = path
        self._cache: dict[str, tuple[float, SigningKeys]] = {}

    def get(self, owner: str, name: str) -> SigningKeys:
        """See `SigningKeyStore.get`."""
        if not is_secret_name(name):
            raise UnknownSecretError(f"You have no webhook secret {name!r}.")
        place = self._place(owner, name)
        at, keys = self._cache.get(place, (float("-inf"), None))
        if keys is None or time.monotonic() - at > MAX_AGE:
            keys = self._read(place) or self._create(place, name)
            self._cache[place] = time.monotonic(), keys
        return keys

    def rotate(self, owner: str, name: str) -> SigningKeys:
        """See `SigningKeyStore.rotate`. Of two rotations at the same time the later one holds."""
        check_secret_name(name)
        place = self._place(owner, name)
        old = self._read(place)
        if old is None:
            check_secret_count(self._names(owner))
        keys = SigningKeys.new(now()) if old is None else old.rotated(now())
        self._client.put_parameter(Name=place, Value=keys.to_json(), Type="SecureString", Overwrite=True)
        self._cache.pop(place, None)
        return keys

    def _place(self, owner: str, name: str) -> str:
        return f"{self._path}/{owner}/{name}"

    def _read(self, place: str) -> SigningKeys | None:
        try:
            answer = self._client.get_parameter(Name=place, WithDecryption=True)
        except ClientError as error:
            if _code(error) != "ParameterNotFound":
                raise
            return None
        return SigningKeys.model_validate_json(answer["Parameter"]["Value"])

    def _create(self, place: str, name: str) -> SigningKeys:
        """The default secret of an owner who never asked for one."""
        if name != DEFAULT_SECRET:
            raise UnknownSecretError(f"You have no webhook secret {name!r}.")
        keys = SigningKeys.new(now())
        try:
            self._client.put_parameter(Name=place, Value=keys.to_json(), Type="SecureString")
        except ClientError as error:
            if _code(error) != "ParameterAlreadyExists":
                raise
            return self._read(place) or keys  # somebody else was first
        return keys

    def _names(self, owner: str) -> set[str]:
        pages = self._client.get_paginator("get_parameters_by_path").paginate(Path=f"{self._path}/{owner}")
        return {parameter["Name"] for page in pages for parameter in page["Parameters"]}


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
