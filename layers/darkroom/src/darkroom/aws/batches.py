"""The use cases of batches, put together on AWS."""

from darkroom.aws.batch_executions import StepFunctionsBatchExecutions
from darkroom.aws.batch_store import DynamoBatchStore
from darkroom.aws.blob_store import S3BlobStore
from darkroom.aws.clients import client
from darkroom.aws.pipeline_store import DynamoPipelineStore
from darkroom.aws.row_files import S3RowFiles
from darkroom.aws.runtime_registry import SsmRuntimeRegistry
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.batch_files import BatchFiles
from darkroom.batch_rows import BatchRows
from darkroom.pipeline_files import PipelineFiles
from darkroom.pipeline_submissions import PipelineSubmissions
from darkroom.settings import BatchSettings
from darkroom.submissions import Submissions
from darkroom.task_starts import TaskStarts


def batch_rows_on_aws(settings: BatchSettings) -> BatchRows:
    """What the states that run a row ask for."""
    blobs, tasks = S3BlobStore(client("s3")), DynamoTaskStore(client("dynamodb"), settings.tasks_table)
    registry = SsmRuntimeRegistry(client("ssm"), settings.runtimes_path)
    networks, bucket = settings.webhook_allowed_networks, settings.output_bucket
    return BatchRows(
        DynamoBatchStore(client("dynamodb"), settings.pipelines_table),
        BatchFiles(blobs, S3RowFiles(client("s3"))),
        Submissions(tasks, blobs, registry, bucket, settings.task_deadline, networks),
        TaskStarts(tasks, blobs, bucket),
        PipelineSubmissions(
            DynamoPipelineStore(client("dynamodb"), settings.pipelines_table),
            PipelineFiles(blobs, tasks),
            registry,
            bucket,
            webhook_networks=networks,
        ),
        StepFunctionsBatchExecutions(client("stepfunctions"), settings.batch_state_machine_arn),
    )
