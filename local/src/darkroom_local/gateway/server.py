"""API Gateway for one REST API: routes, keys, throttling, and the proxy integration with its functions."""

import asyncio
import json
import time
import uuid
from types import TracebackType
from typing import Self

from aiohttp import web

from darkroom_local.functions.invocations import Invoke, InvokeError, Log, RequestTooLargeError
from darkroom_local.gateway.proxy import Call, MalformedAnswerError, parse_answer
from darkroom_local.gateway.responses import (
    FUNCTION_FAILED,
    FUNCTION_REFUSED,
    INTEGRATION_TIMEOUT,
    INVALID_API_KEY,
    MISSING_AUTHENTICATION_TOKEN,
    REQUEST_TOO_LARGE,
    THROTTLED,
    UNKNOWN_STAGE,
    Answer,
    RefusedError,
    render_refusal,
)
from darkroom_local.gateway.routes import Resource, Router
from darkroom_local.gateway.throttles import TokenBucket
from darkroom_local.loopback import LoopbackServer
from darkroom_local.resources import RestApi, Route

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
BODY_BYTES = 10 * 1024 * 1024
TIMEOUT_SECONDS = 29.0


class Gateway:
    """Serves `api` at `url` while entered, on `port` (0: any free one).

    `api.keys` maps a key's value to its id. `invoke` invokes a function (`FunctionHost.invoke`); `log` gets one
    line for each request, in the name "gateway". `timeout` is in seconds.
    """

    def __init__(  # noqa: PLR0913 - plain values, named where they are given
        self,
        api: RestApi,
        *,
        invoke: Invoke,
        log: Log,
        port: int = 0,
        account: str = "123456789012",
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._api = api
        self._invoke = invoke
        self._log = log
        self._account = account
        self._timeout = timeout
        self._router = Router(api.routes)
        self._buckets: dict[str, TokenBucket] = {}
        if api.rate is not None:
            burst = api.burst if api.burst is not None else max(1, int(api.rate))
            self._buckets = {key: TokenBucket(api.rate, burst) for key in api.keys}
        app = web.Application(client_max_size=BODY_BYTES)
        app.router.add_route("*", r"/{path:[\s\S]*}", self._on_request)  # a path may hold a line break, encoded
        self._server = LoopbackServer(app, port)

    @property
    def url(self) -> str:
        """Where the API's stage is served, without a slash at the end."""
        return f"{self._server.url}/{self._api.stage}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.__aexit__(exc_type, exc, traceback)

    async def _on_request(self, request: web.Request) -> web.Response:
        request_id, received = str(uuid.uuid4()), time.time()
        note = ""
        try:
            answer = await self._answer(request, request_id, received)
        except RefusedError as error:
            note = (
                f" {error.refusal.message} ({error.__cause__})" if error.__cause__ else f" {error.refusal.message}"
            )
            answer = render_refusal(
                error.refusal, self._api.responses, self._variables(request, request_id, received)
            )
        milliseconds = (time.time() - received) * 1000
        self._log(
            "gateway",
            f"{request.method} {request.path_qs} {answer.status} {milliseconds:.0f} ms {request_id}{note}",
        )
        answer.headers["x-amzn-RequestId"] = request_id
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _answer(self, request: web.Request, request_id: str, received: float) -> Answer:
        path = self._path(request)
        resource, parameters, route = self._find(request.method, path)
        key = self._authorize(request, route)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise RefusedError(REQUEST_TOO_LARGE) from error
        call = Call(
            request=request,
            request_id=request_id,
            api=self._api,
            resource=resource,
            parameters=parameters,
            path=path,
            account=self._account,
            received=received,
            key=key,
            key_id=self._api.keys[key] if key is not None else None,
        )
        return await self._integrate(route.function_name, json.dumps(call.event(body)).encode())

    def _path(self, request: web.Request) -> str:
        """The path below the stage, as it was sent."""
        stage, _, rest = request.raw_path.partition("?")[0].removeprefix("/").partition("/")
        if stage != self._api.stage:
            raise RefusedError(UNKNOWN_STAGE)
        return f"/{rest}"

    def _find(self, method: str, path: str) -> tuple[Resource, dict[str, str], Route]:
        found = self._router.find(path)
        route = found[0].route(method) if found else None
        if found is None or route is None:
            raise RefusedError(MISSING_AUTHENTICATION_TOKEN)
        return *found, route

    def _authorize(self, request: web.Request, route: Route) -> str | None:
        """The caller's key, if the route asks for one."""
        if not route.key_required:
            return None
        key = request.headers.get("x-api-key", "")
        if key not in self._api.keys:
            raise RefusedError(INVALID_API_KEY)
        if key in self._buckets and not self._buckets[key].take():
            raise RefusedError(THROTTLED)
        return key

    async def _integrate(self, function_name: str, event: bytes) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                invocation = await self._invoke(function_name, event)
        except TimeoutError as error:
            raise RefusedError(INTEGRATION_TIMEOUT) from error
        except RequestTooLargeError as error:
            raise RefusedError(REQUEST_TOO_LARGE) from error
        except InvokeError as error:
            raise RefusedError(FUNCTION_REFUSED) from error
        if invocation.function_error is not None:
            raise RefusedError(FUNCTION_FAILED) from MalformedAnswerError(invocation.error_message)
        try:
            return parse_answer(invocation.payload)
        except MalformedAnswerError as error:
            raise RefusedError(FUNCTION_FAILED) from error

    def _variables(self, request: web.Request, request_id: str, received: float) -> dict[str, str]:
        """The values of `$context` that a gateway response may name."""
        return {
            "accountId": self._account,
            "apiId": self._api.api_id,
            "extendedRequestId": request_id,
            "httpMethod": request.method,
            "identity.sourceIp": request.remote or "",
            "identity.userAgent": request.headers.get("User-Agent", ""),
            "path": request.path,
            "requestId": request_id,
            "requestTimeEpoch": str(int(received * 1000)),
            "stage": self._api.stage,
        }
