"""The use cases of pipelines, put together on AWS."""

from darkroom.aws.blob_store import S3BlobStore
from darkroom.aws.clients import client
from darkroom.aws.pipeline_store import DynamoPipelineStore
from darkroom.aws.runtime_registry import SsmRuntimeRegistry
from darkroom.aws.task_store import DynamoTaskStore
from darkroom.pipeline_files import PipelineFiles
from darkroom.pipeline_runs import PipelineRuns
from darkroom.pipeline_states import PipelineStates
from darkroom.pipeline_submissions import PipelineSubmissions
from darkroom.pipeline_tasks import PipelineTasks
from darkroom.settings import PipelineSettings
from darkroom.task_calls import TaskCalls
from darkroom.task_starts import TaskStarts


def pipeline_states_on_aws(settings: PipelineSettings) -> tuple[PipelineStates, TaskCalls]:
    """What the states of both state machines ask for."""
    blobs, tasks = S3BlobStore(client("s3")), DynamoTaskStore(client("dynamodb"), settings.tasks_table)
    store = DynamoPipelineStore(client("dynamodb"), settings.pipelines_table)
    registry = SsmRuntimeRegistry(client("ssm"), settings.runtimes_path)
    files = PipelineFiles(blobs, tasks)
    starts = TaskStarts(tasks, blobs, settings.output_bucket)
    runs = PipelineRuns(store, files, settings.task_deadline_seconds)
    submissions = PipelineSubmissions(store, files, registry, settings.output_bucket)
    return (
        PipelineStates(submissions, PipelineTasks(runs, starts)),
        TaskCalls(starts, registry, settings.task_deadline_seconds),
    )
