"""The HTTP API: a Chalice application of routes. They stand in `chalicelib`, what they do in `darkroom`."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext
from chalice.app import Chalice
from chalicelib import batches, guide, pipelines, reference, runtimes, tasks, uploads, webhooks
from chalicelib.problems import explain_chalice

from darkroom.aws.tracing import capture_sampled

logger = Logger()
app = Chalice(app_name="darkroom", configure_logs=False)
app.register_middleware(explain_chalice, "http")
for blueprint in (guide, tasks, pipelines, batches, uploads, runtimes, webhooks, reference):
    app.register_blueprint(blueprint.routes)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST, clear_state=True)
@capture_sampled
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of API Gateway."""
    answer: dict[str, Any] = app(event, context)
    return answer
