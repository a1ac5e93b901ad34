"""Sends webhooks: one try for each message, and the messages of a batch side by side."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from darkroom.aws.clients import client
from darkroom.aws.delivery_log import DynamoDeliveryLog
from darkroom.aws.publishers import EventBridgeBus, SqsWebhookQueue
from darkroom.aws.signing_keys import SsmSigningKeys
from darkroom.aws.tracing import capture_sampled
from darkroom.couriers import Courier
from darkroom.net.posts import HttpPoster
from darkroom.notices import Notice
from darkroom.settings import WebhookSettings

logger = Logger()
settings = WebhookSettings.from_environment()
courier = Courier(
    keys=SsmSigningKeys(client("ssm"), settings.webhook_secrets_path),
    poster=HttpPoster(settings.webhook_allowed_networks),
    log=DynamoDeliveryLog(client("dynamodb"), settings.deliveries_table),
    queue=SqsWebhookQueue(client("sqs"), settings.webhooks_queue_url, settings.webhook_failures_queue_url),
    bus=EventBridgeBus(client("events"), settings.event_bus),
)


@logger.inject_lambda_context(clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Make the tries of the batch; the messages of those that could not be made come again."""
    del context
    records = event["Records"]
    with ThreadPoolExecutor(len(records)) as pool:  # a slow receiver holds up nobody else's webhook
        made = list(pool.map(deliver, records))
    failed = [record["messageId"] for record, ok in zip(records, made, strict=True) if not ok]
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


def deliver(record: dict[str, Any]) -> bool:
    """Make one try; False where it could not be made and recorded."""
    try:
        notice = Notice.from_json(record["body"])
        delivery = courier.deliver(notice)
    except Exception:
        logger.exception("webhook_not_tried", extra={"message_id": record["messageId"]})
        return False
    about = {"task_id": notice.task, "webhook_id": str(notice.webhook_id), "type": notice.type}
    if delivery is None:
        logger.info("webhook_not_due", extra=about | {"made": notice.made})
    else:
        last = delivery.tries[-1].model_dump(mode="json")
        logger.info("webhook_tried", extra=about | {"state": delivery.state, "made": delivery.made} | last)
    return True
