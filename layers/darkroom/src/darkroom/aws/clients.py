"""boto3 clients as the functions use them: made once, quick to leave a dead connection, patient with throttling."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

CONFIG = Config(
    user_agent="darkroom",  # or botocore puts its own together anew, twice for each request
    connect_timeout=2,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 5},
    tcp_keepalive=True,
)


PRESIGNING = CONFIG.merge(Config(signature_version="s3v4"))
"""For URLs that others use: version 4 alone binds a size to them."""


class _LazyClient:
    """Makes its client when it is first used."""

    def __init__(self, service: str, config: Config) -> None:
        self._service = service
        self._config = config

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  what the client has
        return getattr(client(self._service, self._config), name)


def lazy_client(service: str, config: Config = CONFIG) -> Any:  # noqa: ANN401
    """The same client, made when it is first used: what a cold start does not need must not slow it down."""
    return _LazyClient(service, config)


@cache
def client(service: str, config: Config = CONFIG) -> Any:  # noqa: ANN401  boto3 makes its clients at run time
    """The process's client of one service; region, credentials and endpoint come from the environment."""
    return boto3.client(service, config=config)  # type: ignore[call-overload]
