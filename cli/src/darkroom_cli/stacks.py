"""A deployed stack: where its API is, and its key, as CloudFormation and API Gateway know them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ProfileNotFound

from darkroom_cli.access import Access, AwsAccess
from darkroom_cli.errors import AwsError, ConfigurationError

_OPERATOR = "OperatorKey"  # its name in the template
_KEY_TYPE = "AWS::ApiGateway::ApiKey"


def find_stack(aws: AwsAccess, *, operator: bool = False) -> Access:
    """The API of a stack, and the value of its key, or of its operator's key.

    Takes `cloudformation:DescribeStacks`, `cloudformation:DescribeStackResources` and `apigateway:GET`.

    Raises:
        ConfigurationError: there is no such stack, or it is not Darkroom's.
        AwsError: AWS could not be asked, or refused.
    """
    outputs = read_outputs(aws)
    with explained_aws():
        resources = aws.client("cloudformation").describe_stack_resources(StackName=aws.stack)["StackResources"]
        ids = [
            it["PhysicalResourceId"]
            for it in resources
            if it["ResourceType"] == _KEY_TYPE and (it["LogicalResourceId"] == _OPERATOR) is operator
        ]
        if not ids or "FrontApiEndpoint" not in outputs:
            raise ConfigurationError(f"The stack {aws.stack!r} has no API of Darkroom's.")
        key = aws.client("apigateway").get_api_key(apiKey=ids[0], includeValue=True)["value"]
    return Access(outputs["FrontApiEndpoint"].rstrip("/"), key, aws=aws)


def read_outputs(aws: AwsAccess) -> Mapping[str, str]:
    """A stack's outputs.

    Raises:
        ConfigurationError: there is no such stack.
        AwsError: AWS could not be asked, or refused.
    """
    with explained_aws():
        try:
            (stack,) = aws.client("cloudformation").describe_stacks(StackName=aws.stack)["Stacks"]
        except ClientError as error:
            if "does not exist" not in error.response["Error"].get("Message", ""):
                raise
            raise ConfigurationError(
                f"There is no stack {aws.stack!r} in this account and region.",
                hint="Name another region or AWS profile: `darkroom config set NAME --stack … --region … "
                "--aws-profile …`.",
            ) from error
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


@contextmanager
def explained_aws() -> Iterator[None]:
    """Turn what boto3 raises into a `ClientError` of ours.

    Raises:
        AwsError: AWS could not be asked, or refused.
    """
    try:
        yield
    except ClientError as error:
        fault: dict[str, Any] = dict(error.response["Error"])
        raise AwsError(
            f"AWS refused {error.operation_name}: {fault.get('Message') or fault.get('Code')}"
        ) from error
    except (NoCredentialsError, NoRegionError, ProfileNotFound) as error:
        hint = "Log in to AWS (`aws configure`, `aws sso login`), or name a region and an AWS profile."
        raise AwsError(str(error), hint=hint) from error
    except BotoCoreError as error:
        raise AwsError(f"AWS cannot be reached: {error}") from error
