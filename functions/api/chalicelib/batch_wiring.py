"""What the routes of batches use, made when one of them is first called."""

from chalicelib import pipeline_wiring as pipelines
from chalicelib import wiring
from darkroom.aws.batch_executions import StepFunctionsBatchExecutions
from darkroom.aws.batch_store import DynamoBatchStore
from darkroom.aws.clients import client, lazy_client
from darkroom.aws.row_files import S3RowFiles
from darkroom.batch_desk import BatchDesk
from darkroom.batch_files import BatchFiles
from darkroom.settings import BatchApiSettings

settings = BatchApiSettings.from_environment()
desk = BatchDesk(
    DynamoBatchStore(client("dynamodb"), settings.pipelines_table),
    BatchFiles(wiring.blobs, S3RowFiles(lazy_client("s3"))),
    pipelines.submissions,
    StepFunctionsBatchExecutions(lazy_client("stepfunctions"), settings.batch_state_machine_arn),
    wiring.links,
    settings.input_bucket_names,
)
