"""A REST API's Lambda proxy integration: the event (version 1.0) and the answer.

The formats: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from darkroom_local.gateway.responses import JSON, Answer
from darkroom_local.gateway.routes import Resource
from darkroom_local.resources import RestApi

HOP_BY_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
FIELDS = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
STATUSES = range(100, 600)


class MalformedAnswerError(Exception):
    """A function's answer is not one of a proxy integration."""


@dataclass(frozen=True)
class Call:
    """A request that was let through: the resource it means, and whose key it came with."""

    request: web.Request
    request_id: str
    api: RestApi
    resource: Resource
    parameters: Mapping[str, str]
    path: str
    account: str
    received: float
    key: str | None = None
    key_id: str | None = None

    def event(self, body: bytes) -> dict[str, Any]:
        """What the function gets. A body that is no text comes base64-encoded."""
        text, encoded = _text(body)
        single, multi = _multi(list(self.request.query.items()))
        headers, multi_headers = _multi(self._headers())
        return {
            "resource": self.resource.path,
            "path": self.path,
            "httpMethod": self.request.method,
            "headers": headers,
            "multiValueHeaders": multi_headers,
            "queryStringParameters": single or None,
            "multiValueQueryStringParameters": multi or None,
            "pathParameters": dict(self.parameters) or None,
            "stageVariables": None,
            "requestContext": self._context(),
            "body": text or None,
            "isBase64Encoded": encoded,
        }

    def _headers(self) -> list[tuple[str, str]]:
        given = [item for item in self.request.headers.items() if item[0].lower() not in HOP_BY_HOP]
        return [
            *given,
            ("X-Amzn-Trace-Id", f"Root=1-{int(self.received):08x}-{self.request_id.replace('-', '')[:24]}"),
            ("X-Forwarded-For", self._source_ip()),
            ("X-Forwarded-Port", str(self.request.url.port)),
            ("X-Forwarded-Proto", self.request.scheme),
        ]

    def _context(self) -> dict[str, Any]:
        moment = datetime.fromtimestamp(self.received, UTC)
        return {
            "accountId": self.account,
            "apiId": self.api.api_id,
            # What the client called, so that links which a function makes of it lead back here.
            "domainName": self.request.host,
            "domainPrefix": self.request.host.split(".")[0],
            "extendedRequestId": self.request_id,
            "httpMethod": self.request.method,
            "identity": self._identity(),
            "path": f"/{self.api.stage}{self.path}",
            "protocol": f"HTTP/{self.request.version.major}.{self.request.version.minor}",
            "requestId": self.request_id,
            "requestTime": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(self.received * 1000),
            "resourceId": self.resource.resource_id,
            "resourcePath": self.resource.path,
            "stage": self.api.stage,
        }

    def _identity(self) -> dict[str, str | None]:
        unknown = (
            "accessKey accountId caller cognitoAuthenticationProvider cognitoAuthenticationType "
            "cognitoIdentityId cognitoIdentityPoolId principalOrgId user userArn"
        )
        identity: dict[str, str | None] = dict.fromkeys(unknown.split())
        identity["sourceIp"] = self._source_ip()
        identity["userAgent"] = self.request.headers.get("User-Agent")
        if self.key is not None:
            identity["apiKey"] = self.key
            identity["apiKeyId"] = self.key_id
        return identity

    def _source_ip(self) -> str:
        return self.request.remote or "127.0.0.1"


def parse_answer(payload: bytes) -> Answer:
    """A function's answer as a response.

    Raises:
        MalformedAnswerError: it is not an object of the five known fields, each of its type.
    """
    try:
        parsed = json.loads(payload)
        if not isinstance(parsed, dict) or not parsed.keys() <= FIELDS:
            raise MalformedAnswerError("Malformed Lambda proxy response")
        status = int(parsed.get("statusCode") or 200)
        headers = _answer_headers(parsed.get("headers") or {}, parsed.get("multiValueHeaders") or {})
        body = (parsed.get("body") or "").encode()
        if parsed.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True)
    except (ValueError, TypeError, AttributeError) as error:
        raise MalformedAnswerError("Malformed Lambda proxy response") from error
    if status not in STATUSES:
        raise MalformedAnswerError("Malformed Lambda proxy response")
    return Answer(status, headers, body)


def _answer_headers(single: Mapping[str, Any], multi: Mapping[str, Any]) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, values in multi.items():
        if not isinstance(values, list):
            raise TypeError("values come in a list")
        for value in values:
            headers.add(name, _plain(value))
    for name, value in single.items():
        if name not in headers:
            headers[name] = _plain(value)
    for name in HOP_BY_HOP:
        headers.popall(name, None)
    headers.setdefault("Content-Type", JSON)
    return headers


def _plain(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "\n" in text or "\r" in text:
        raise ValueError("a header is one line")
    return text


def _text(body: bytes) -> tuple[str, bool]:
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _multi(items: list[tuple[str, str]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The last value of each name, and all of them."""
    values: dict[str, list[str]] = {}
    for name, value in items:
        values.setdefault(name, []).append(value)
    return {name: all_of_it[-1] for name, all_of_it in values.items()}, values
