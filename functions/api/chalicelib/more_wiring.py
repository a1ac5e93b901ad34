"""What the routes of runtimes, uploads and webhooks use, made when one of them is first called."""

from chalicelib.wiring import links, registry, settings, store
from darkroom.aws.clients import client, lazy_client
from darkroom.aws.delivery_log import DynamoDeliveryLog
from darkroom.aws.runtime_queues import SqsRuntimeQueues
from darkroom.aws.signing_keys import SsmSigningKeys
from darkroom.runtime_desk import RuntimeDesk
from darkroom.upload_desk import UploadDesk

runtimes = RuntimeDesk(registry, SqsRuntimeQueues(client("sqs")), store)
uploads = UploadDesk(links, settings.output_bucket)
deliveries = DynamoDeliveryLog(client("dynamodb"), settings.deliveries_table)
secrets = SsmSigningKeys(lazy_client("ssm"), settings.webhook_secrets_path)
