"""What it takes to speak to a Darkroom: its API's address and key, and the AWS behind it where that is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class AwsAccess:
    """How to reach the AWS account of a stack. `session` and `endpoint` are in boto3's terms."""

    stack: str
    session: Mapping[str, str] = field(default_factory=dict, repr=False)
    endpoint_url: str | None = None

    def client(self, service: str) -> Any:  # noqa: ANN401  boto3 makes its clients at run time
        """A boto3 client of one service."""
        return self._session.client(service, endpoint_url=self.endpoint_url)

    @cached_property
    def _session(self) -> Any:  # noqa: ANN401  its stubs want each keyword by name
        """One for all clients: each would look for credentials, and read the services' endpoints, anew."""
        import boto3

        session: Any = boto3.Session
        return session(**self.session)


@dataclass(frozen=True)
class Access:
    """One Darkroom, as the owner of one key. `profile` is where this was found."""

    url: str
    api_key: str = field(repr=False)
    profile: str | None = None
    runtime: str | None = None
    aws: AwsAccess | None = None
