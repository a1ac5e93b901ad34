"""What the routes of pipelines use, made once for each process."""

from chalicelib import wiring
from darkroom.aws.clients import client, lazy_client
from darkroom.aws.definition_store import DynamoDefinitionStore
from darkroom.aws.executions import StepFunctionsExecutions
from darkroom.aws.pipeline_store import DynamoPipelineStore
from darkroom.pipeline_desk import PipelineDesk
from darkroom.pipeline_files import PipelineFiles
from darkroom.pipeline_submissions import PipelineSubmissions
from darkroom.settings import PipelineApiSettings

settings = PipelineApiSettings.from_environment()
definitions = DynamoDefinitionStore(client("dynamodb"), settings.pipelines_table)
submissions = PipelineSubmissions(
    DynamoPipelineStore(client("dynamodb"), settings.pipelines_table),
    PipelineFiles(wiring.blobs, wiring.store),
    wiring.registry,
    settings.output_bucket,
    definitions,
    wiring.settings.webhook_allowed_networks,
)
desk = PipelineDesk(
    submissions, StepFunctionsExecutions(lazy_client("stepfunctions"), settings.pipeline_state_machine_arn)
)
