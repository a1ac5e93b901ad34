"""Queues and topics that what failed is sent to: dead letters, and the records of streams that were given up."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from darkroom_local.functions.invocations import ClientFactory

Attributes = Mapping[str, tuple[str, str]]
"""Message attributes: name to data type (`String`, `Number`) and value."""


class Destinations:
    """Sends messages to SQS queues and SNS topics, told apart by their ARNs."""

    def __init__(self, client: ClientFactory) -> None:
        self._client = client
        self._clients: dict[str, Any] = {}

    async def send(self, arn: str, body: str, attributes: Attributes | None = None) -> None:
        """Send one message.

        Raises:
            ValueError: `arn` names neither a queue nor a topic.
            botocore.exceptions.ClientError: AWS refuses it.
        """
        service, name = arn.split(":")[2], arn.rsplit(":", 1)[-1]
        if service not in {"sqs", "sns"}:
            raise ValueError(f"neither a queue nor a topic: {arn}")
        if service not in self._clients:
            self._clients[service] = self._client(service)
        client = self._clients[service]
        typed = {key: {"DataType": kind, "StringValue": value} for key, (kind, value) in (attributes or {}).items()}
        if service == "sns":
            call = partial(client.publish, TopicArn=arn, Message=body, MessageAttributes=typed)
            await asyncio.to_thread(call)
            return
        url = (await asyncio.to_thread(partial(client.get_queue_url, QueueName=name)))["QueueUrl"]
        await asyncio.to_thread(
            partial(client.send_message, QueueUrl=url, MessageBody=body, MessageAttributes=typed)
        )
