"""boto3 clients as the functions use them: made once, quick to leave a dead connection, patient with throttling."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

CONFIG = Config(
    connect_timeout=2,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 5},
    tcp_keepalive=True,
)


@cache
def client(service: str) -> Any:  # noqa: ANN401  boto3 makes its clients at run time
    """The process's client of one service; region, credentials and endpoint come from the environment."""
    return boto3.client(service, config=CONFIG)  # type: ignore[call-overload]
