"""What API Gateway answers itself, by its own words or the API's gateway responses.

Types, statuses and variables:
https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html and
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from multidict import CIMultiDict

from darkroom_local.resources import GatewayResponse

JSON = "application/json"
DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'
FIRST_SERVER_ERROR = 500


@dataclass(frozen=True)
class Refusal:
    """A reason not to let a request through: its gateway response type, and status and message by default."""

    type: str
    status: int
    message: str


INVALID_API_KEY = Refusal("INVALID_API_KEY", 403, "Forbidden")
UNKNOWN_STAGE = Refusal("ACCESS_DENIED", 403, "Forbidden")
MISSING_AUTHENTICATION_TOKEN = Refusal("MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token")
THROTTLED = Refusal("THROTTLED", 429, "Too Many Requests")
REQUEST_TOO_LARGE = Refusal("REQUEST_TOO_LARGE", 413, "Request Too Long")
INTEGRATION_TIMEOUT = Refusal("INTEGRATION_TIMEOUT", 504, "Endpoint request timed out")
FUNCTION_FAILED = Refusal("DEFAULT_5XX", 502, "Internal server error")
FUNCTION_REFUSED = Refusal("DEFAULT_5XX", 500, "Internal server error")


class RefusedError(Exception):
    """The gateway answers a request itself."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True)
class Answer:
    """A response to be sent."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


def render_refusal(
    refusal: Refusal, responses: Mapping[str, GatewayResponse], context: Mapping[str, str]
) -> Answer:
    """The answer to a refused request.

    `responses` are the API's gateway responses by type; one of its type comes before `DEFAULT_4XX` or
    `DEFAULT_5XX`. `context` holds the values of `$context` variables, such as `requestId`.
    """
    family = "DEFAULT_5XX" if refusal.status >= FIRST_SERVER_ERROR else "DEFAULT_4XX"
    response = responses.get(refusal.type) or responses.get(family) or GatewayResponse(refusal.status)
    variables = {
        **context,
        "error.message": refusal.message,
        "error.messageString": json.dumps(refusal.message),
        "error.responseType": refusal.type,
    }
    templates = response.templates or {JSON: DEFAULT_TEMPLATE}
    content_type = JSON if JSON in templates else next(iter(templates))
    headers = CIMultiDict({"Content-Type": content_type})
    for name, value in response.headers.items():
        # Static values are quoted in a template: `'*'`.
        headers[name] = _fill(value, variables).removeprefix("'").removesuffix("'")
    body = _fill(templates[content_type], variables).encode()
    return Answer(response.status or refusal.status, headers, body)


def _fill(template: str, variables: Mapping[str, str]) -> str:
    return re.sub(
        r"\$(?:context\.([\w.]*\w)|\{context\.([\w.]*\w)\})",
        lambda match: variables.get(match[1] or match[2], ""),
        template,
    )
