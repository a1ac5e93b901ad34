"""A Chalice application, to see that it understands the gateway's events."""

from typing import Any

from chalice.app import Chalice, NotFoundError, Response

app = Chalice(app_name="toy")


@app.route("/v1/tasks", methods=["POST"])
def submit_task() -> Response:
    request: Any = app.current_request
    body = {"got": request.json_body, "key": request.context["identity"]["apiKeyId"]}
    return Response(body, status_code=202)


@app.route("/v1/tasks/{task_id}", methods=["GET"])
def get_task(task_id: str) -> dict[str, object]:
    request: Any = app.current_request
    if task_id == "none":
        raise NotFoundError("no such task")
    return {"id": task_id, "tags": request.query_params.getlist("tag")}
