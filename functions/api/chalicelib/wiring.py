"""What the routes of tasks use, made once for each process. Only what a submit needs is made at a cold start."""

from darkroom.aws.blob_links import S3BlobLinks
from darkroom.aws.blob_store import S3BlobStore
from darkroom.aws.clients import PRESIGNING, client, lazy_client
from darkroom.aws.runtime_registry import SsmRuntimeRegistry
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.settings import ApiSettings
from darkroom.submissions import Submissions
from darkroom.task_desk import TaskDesk

settings = ApiSettings.from_environment()
store = DynamoTaskStore(client("dynamodb"), settings.tasks_table)
registry = SsmRuntimeRegistry(lazy_client("ssm"), settings.runtimes_path)
blobs = S3BlobStore(lazy_client("s3"))
links = S3BlobLinks(lazy_client("s3", PRESIGNING))
submissions = Submissions(
    store, blobs, registry, settings.output_bucket, settings.task_deadline, settings.webhook_allowed_networks
)
tasks = TaskDesk(store, submissions)
