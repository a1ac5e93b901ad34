"""Doing a thing once, by Powertools' idempotency records in a table."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MEMORY = 24 * 3600
"""How long an id is remembered, in seconds: as long as the stream keeps its records."""


class TableOnce:
    """A `Once` whose memory is a table with the key `id` and the time to live `expiration`.

    An action that another invocation is busy with raises, so its record is tried again; one whose invocation died
    is free again when that invocation's time is over.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._config = IdempotencyConfig(expires_after_seconds=MEMORY)
        layer = DynamoDBPersistenceLayer(table_name=table, boto3_client=client)

        @idempotent_function(data_keyword_argument="event_id", config=self._config, persistence_store=layer)
        def run(*, event_id: str, action: Callable[[], None]) -> None:
            del event_id
            action()

        self._run = run

    def register(self, context: LambdaContext) -> None:
        """Take the invocation's remaining time as the time after which a dead one's actions are free."""
        self._config.register_lambda_context(context)

    def do(self, event_id: UUID, action: Callable[[], None]) -> None:
        """See `Once.do`."""
        self._run(event_id=str(event_id), action=action)
