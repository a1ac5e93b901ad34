"""The gateway before the functions, as API Gateway does it for a REST API with proxy integration."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from darkroom_local.functions.host import FunctionHost
from darkroom_local.gateway.server import Gateway
from darkroom_local.gateway.throttles import TokenBucket
from darkroom_local.resources import Function, GatewayResponse, RestApi, Route

TOYS = Path(__file__).parent / "toys"
KEY = {"x-api-key": "secret-1"}


def toy(name: str, handler: str) -> Function:
    return Function(
        name, f"arn:aws:lambda:us-east-1:123456789012:function:{name}", handler, TOYS, "role", timeout=10
    )


FUNCTIONS = (
    toy("toy", "toys.answer_request"),
    toy("chalice", "chalice_toy.app"),
    replace(toy("throttled", "toys.echo"), reserved_concurrency=0),
)
API = RestApi(
    "abc123",
    "dev",
    (
        Route("GET", "/open", "toy"),
        Route("POST", "/open", "toy"),
        Route("GET", "/open/{id}", "toy"),
        Route("GET", "/open/fixed", "toy"),
        Route("ANY", "/files/{name}/{proxy+}", "toy"),
        Route("GET", "/closed", "toy", key_required=True),
        Route("GET", "/throttled", "throttled"),
        Route("GET", "/nobody", "nobody"),
        Route("POST", "/v1/tasks", "chalice", key_required=True),
        Route("GET", "/v1/tasks/{task_id}", "chalice"),
    ),
    keys={"secret-1": "key-1", "secret-2": "key-2"},
)


class Client:
    def __init__(self, url: str, session: aiohttp.ClientSession, lines: list[str]) -> None:
        self.url = url
        self.lines = lines
        self._session = session

    async def __call__(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self._session.request(method, self.url + path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def raw(self, method: str, path: str, **options: Any) -> tuple[aiohttp.ClientResponse, bytes]:
        async with self._session.request(method, self.url + path, **options) as response:
            return response, await response.read()


@asynccontextmanager
async def serving(api: RestApi = API, seconds: float = 29.0) -> AsyncIterator[Client]:
    lines: list[str] = []

    def log(name: str, line: str) -> None:
        lines.append(f"{name}: {line}")

    async with (
        FunctionHost(
            FUNCTIONS,
            endpoint_url="http://127.0.0.1:1",
            region="us-east-1",
            credentials=lambda _: {},
            client=lambda _: None,
            log=log,
        ) as host,
        Gateway(api, invoke=host.invoke, log=log, timeout=seconds) as gateway,
        aiohttp.ClientSession() as session,
    ):
        yield Client(gateway.url, session, lines)


async def test_a_function_gets_the_request_as_api_gateway_shapes_it() -> None:
    async with serving() as client:
        status, event = await client(
            "POST", "/open?a=1&b=x%20y&a=2", data="Grüße", headers={"X-Mine": "yes", "User-Agent": "test"}
        )
        host = client.url.removeprefix("http://").removesuffix("/dev")
    assert status == 200
    context, headers = event.pop("requestContext"), event.pop("headers")
    assert headers == {name: values[-1] for name, values in event.pop("multiValueHeaders").items()}
    assert headers["X-Mine"] == "yes"
    assert headers["Host"] == host
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert event == {
        "resource": "/open",
        "path": "/open",
        "httpMethod": "POST",
        "queryStringParameters": {"a": "2", "b": "x y"},
        "multiValueQueryStringParameters": {"a": ["1", "2"], "b": ["x y"]},
        "pathParameters": None,
        "stageVariables": None,
        "body": "Grüße",
        "isBase64Encoded": False,
    }
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["identity"]["userAgent"] == "test"
    assert "apiKey" not in context["identity"]
    assert {
        "accountId": "123456789012",
        "apiId": "abc123",
        "domainName": host,
        "httpMethod": "POST",
        "path": "/dev/open",
        "protocol": "HTTP/1.1",
        "resourcePath": "/open",
        "stage": "dev",
    }.items() <= context.items()
    assert {"requestId", "requestTime", "requestTimeEpoch", "resourceId"} <= context.keys()


async def test_a_request_without_query_and_body_has_null_for_both() -> None:
    async with serving() as client:
        _, event = await client("GET", "/open")
    assert (event["queryStringParameters"], event["body"]) == (None, None)


async def test_a_body_that_is_no_text_comes_base64_encoded() -> None:
    async with serving() as client:
        _, event = await client("POST", "/open", data=b"\xff\x00")
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"\xff\x00")


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        pytest.param("/open/7", "/open/{id}", {"id": "7"}, id="a parameter"),
        pytest.param("/open/a%2Fb", "/open/{id}", {"id": "a%2Fb"}, id="a parameter stays encoded"),
        pytest.param("/open/a%0Ab", "/open/{id}", {"id": "a%0Ab"}, id="a line break"),
        pytest.param("/open/fixed", "/open/fixed", None, id="a fixed segment comes first"),
        pytest.param("/open/", "/open", None, id="a slash at the end is ignored"),
        pytest.param("/files/x/a/b.png", "/files/{name}/{proxy+}", {"name": "x", "proxy": "a/b.png"}, id="greedy"),
    ],
)
async def test_a_path_finds_its_resource(path: str, resource: str, parameters: dict[str, str] | None) -> None:
    async with serving() as client:
        _, event = await client("GET", path)
    assert (event["resource"], event["pathParameters"]) == (resource, parameters)
    assert event["requestContext"]["resourcePath"] == resource


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nowhere"), ("DELETE", "/open"), ("GET", "/open/7/8"), ("GET", "/files/x"), ("GET", "/")],
)
async def test_an_unknown_route_and_an_undeclared_method_miss_an_authentication_token(
    method: str, path: str
) -> None:
    async with serving() as client:
        assert await client(method, path) == (403, {"message": "Missing Authentication Token"})


async def test_an_unknown_stage_is_forbidden() -> None:
    async with serving() as client:
        client.url = client.url.removesuffix("/dev")
        assert await client("GET", "/prod/open") == (403, {"message": "Forbidden"})


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}])
async def test_a_missing_or_wrong_key_is_forbidden(headers: dict[str, str]) -> None:
    async with serving() as client:
        assert await client("GET", "/closed", headers=headers) == (403, {"message": "Forbidden"})


async def test_the_function_learns_whose_key_it_was() -> None:
    async with serving() as client:
        status, event = await client("GET", "/closed", headers=KEY)
    assert status == 200
    identity = event["requestContext"]["identity"]
    assert (identity["apiKey"], identity["apiKeyId"]) == ("secret-1", "key-1")


async def test_each_key_has_its_own_throttle() -> None:
    async with serving(replace(API, rate=0.001, burst=2)) as client:
        statuses = [(await client("GET", "/closed", headers=KEY))[0] for _ in range(2)]
        refused = await client("GET", "/closed", headers=KEY)
        other = await client("GET", "/closed", headers={"x-api-key": "secret-2"})
        without = await client("GET", "/open")
    assert statuses == [200, 200]
    assert refused == (429, {"message": "Too Many Requests"})
    assert (other[0], without[0]) == (200, 200)


def test_a_token_bucket_refills_at_its_rate_up_to_its_burst() -> None:
    now = [0.0]
    bucket = TokenBucket(2.0, 3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


async def test_a_gateway_response_changes_status_headers_and_body() -> None:
    problem = (
        '{"title": $context.error.messageString, "kind": "$context.error.responseType", '
        '"instance": "${context.requestId}", "nothing": "$context.no.such"}'
    )
    responses = {
        "INVALID_API_KEY": GatewayResponse(
            401,
            {"Access-Control-Allow-Origin": "'*'", "WWW-Authenticate": "$context.error.message"},
            {"application/problem+json": problem},
        ),
        "DEFAULT_4XX": GatewayResponse(404, templates={"application/json": '{"path": "$context.path"}'}),
    }
    async with serving(replace(API, responses=responses)) as client:
        response, body = await client.raw("GET", "/closed")
        fallback = await client("GET", "/nowhere")
    request_id = response.headers["x-amzn-RequestId"]
    assert response.status == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["WWW-Authenticate"] == "Forbidden"
    assert json.loads(body) == {
        "title": "Forbidden",
        "kind": "INVALID_API_KEY",
        "instance": request_id,
        "nothing": "",
    }
    assert fallback == (404, {"path": "/dev/nowhere"})


async def test_a_body_over_ten_megabytes_is_too_large_and_so_is_one_that_lambda_refuses() -> None:
    async with serving() as client:
        too_large = (413, {"message": "Request Too Long"})
        assert await client("POST", "/open", data=io.BytesIO(b"x" * (10 * 1024 * 1024 + 1))) == too_large
        assert await client("POST", "/open", data=io.BytesIO(b"x" * (7 * 1024 * 1024))) == too_large


async def test_an_answer_is_sent_as_the_function_made_it() -> None:
    answer = {
        "statusCode": 201,
        "headers": {"Content-Type": "image/png", "X-One": "1", "X-Both": "single", "Connection": "close"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "X-Both": ["multi"]},
        "body": base64.b64encode(b"\x89PNG").decode(),
        "isBase64Encoded": True,
    }
    async with serving() as client:
        response, body = await client.raw("POST", "/open", data=f"answer:{json.dumps(answer)}")
    assert (response.status, body) == (201, b"\x89PNG")
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["X-One"] == "1"
    assert response.headers["X-Both"] == "multi"
    assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]


async def test_an_answer_is_json_with_status_200_unless_it_says_otherwise() -> None:
    async with serving() as client:
        response, body = await client.raw("POST", "/open", data='answer:{"body": "{}"}')
    assert (response.status, response.headers["Content-Type"], body) == (200, "application/json", b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param('"text"', id="no object"),
        pytest.param("null", id="nothing"),
        pytest.param('{"statusCode": "teapot"}', id="a status that is no number"),
        pytest.param('{"statusCode": 1000}', id="a status that is none"),
        pytest.param('{"statusCode": 200, "body": {"a": 1}}', id="a body that is no text"),
        pytest.param('{"statusCode": 200, "headers": ["a"]}', id="headers that are no object"),
        pytest.param('{"statusCode": 200, "multiValueHeaders": {"a": "b"}}', id="values that are no list"),
        pytest.param('{"statusCode": 200, "extra": 1}', id="a field that does not exist"),
        pytest.param('{"statusCode": 200, "headers": {"a": "b\\r\\nc: d"}}', id="two headers in one"),
        pytest.param('{"statusCode": 200, "body": "?", "isBase64Encoded": true}', id="a body that is no base64"),
    ],
)
async def test_a_malformed_answer_is_an_internal_server_error(answer: str) -> None:
    async with serving() as client:
        status, body = await client("POST", "/open", data=f"answer:{answer}")
        assert (status, body) == (502, {"message": "Internal server error"})
        assert "Malformed Lambda proxy response" in client.lines[-1]


async def test_a_failed_function_is_an_internal_server_error_and_the_log_says_why() -> None:
    async with serving() as client:
        assert await client("POST", "/open", data="fail") == (502, {"message": "Internal server error"})
        assert "ValueError: no luck" in client.lines[-1]


@pytest.mark.parametrize("path", ["/throttled", "/nobody"])
async def test_a_function_that_cannot_be_invoked_is_an_internal_server_error(path: str) -> None:
    async with serving() as client:
        assert await client("GET", path) == (500, {"message": "Internal server error"})


async def test_a_function_that_takes_too_long_is_a_gateway_timeout() -> None:
    async with serving(seconds=0.3) as client:
        await client("GET", "/open")
        assert await client("POST", "/open", data="sleep:1") == (504, {"message": "Endpoint request timed out"})


async def test_a_chalice_application_finds_its_views() -> None:
    async with serving() as client:
        accepted = await client("POST", "/v1/tasks", json={"prompt": "a dog"}, headers=KEY)
        found = await client("GET", "/v1/tasks/t1?tag=a&tag=b")
        missing = await client("GET", "/v1/tasks/none?tag=a")
    assert accepted == (202, {"got": {"prompt": "a dog"}, "key": "key-1"})
    assert found == (200, {"id": "t1", "tags": ["a", "b"]})
    assert missing == (404, {"Code": "NotFoundError", "Message": "no such task"})


async def test_each_request_is_one_readable_line() -> None:
    async with serving() as client:
        await asyncio.gather(client("GET", "/open?a=1"), client("GET", "/closed"))
    lines = sorted(line for line in client.lines if line.startswith("gateway: "))
    assert len(lines) == 2
    assert lines[0].startswith("gateway: GET /dev/closed 403 ")
    assert lines[0].endswith(" Forbidden")
    assert lines[1].startswith("gateway: GET /dev/open?a=1 200 ")
