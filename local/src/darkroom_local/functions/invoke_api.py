"""Lambda's `Invoke` operation over HTTP, so that boto3 and the state machines can call functions.

The protocol: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
"""

from aiohttp import web

from darkroom_local.functions.invocations import Invocation, Invoke, InvokeError, RequestTooLargeError

PATH = "/2015-03-31/functions/{name}/invocations"


def invoke_application(invoke: Invoke, *, request_bytes: int) -> web.Application:
    """The application that answers `Invoke` by calling `invoke`."""

    async def on_invoke(request: web.Request) -> web.Response:
        name = function_name(request.match_info["name"])
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        try:
            payload = await request.read() or b"{}"
            if kind == "DryRun":
                return web.Response(status=204)
            invocation = await invoke(name, payload, kind="Event" if kind == "Event" else "RequestResponse")
        except web.HTTPRequestEntityTooLarge:
            return _refused(RequestTooLargeError(f"Request must be smaller than {request_bytes} bytes"))
        except InvokeError as error:
            return _refused(error)
        return _accepted(invocation, status=202 if kind == "Event" else 200)

    # One byte over the limit is read, and refused in Lambda's words; what is far over it is not read at all.
    app = web.Application(client_max_size=request_bytes + 1)
    app.router.add_post(PATH, on_invoke)
    return app


def function_name(identifier: str) -> str:
    """The name in what may be a name, an ARN or a part of one, with a qualifier or without."""
    parts = identifier.split(":")
    if "function" in parts:
        return parts[parts.index("function") + 1]
    return parts[0]


def _accepted(invocation: Invocation, *, status: int) -> web.Response:
    headers = {"Content-Type": "application/json", "x-amzn-RequestId": invocation.request_id}
    if status == web.HTTPOk.status_code:
        headers["X-Amz-Executed-Version"] = "$LATEST"
    if invocation.function_error is not None:
        headers["X-Amz-Function-Error"] = invocation.function_error
    return web.Response(body=invocation.payload, status=status, headers=headers)


def _refused(error: InvokeError) -> web.Response:
    body = {"Type": "User" if error.status < web.HTTPInternalServerError.status_code else "Service"}
    body["message"] = str(error)
    return web.json_response(body, status=error.status, headers={"x-amzn-ErrorType": error.code})
