"""moto as Darkroom's templates need it, with botocore's descriptions of the services that they use.

The emulated AWS is forked from a process that has imported this (`process`), which takes three seconds.
"""

from moto.core.utils import get_service_model

from darkroom_local.aws import (
    access,
    executions,
    map_runs,
    nested_executions,
    repairs,
    shortcuts,
    targets,
    types,
)

DESCRIBED = (
    "cloudformation",
    "dynamodb",
    "dynamodbstreams",
    "events",
    "iam",
    "lambda",
    "s3",
    "sns",
    "sqs",
    "ssm",
    "stepfunctions",
    "sts",
)

for _name in DESCRIBED:
    get_service_model(_name)  # moto keeps it; any other service's is read with its first request


def install(url: str) -> None:
    """Mends moto, for this process, whose server answers at `url`."""
    types.install()
    repairs.install()
    shortcuts.install()
    access.install()
    executions.install()
    map_runs.install()
    nested_executions.install()
    targets.install(url)
