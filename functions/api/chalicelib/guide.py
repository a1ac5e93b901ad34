"""Routes of the user guide: `/v1alpha1` and `/v1alpha2`."""

from chalice.app import Blueprint

from chalicelib.acceptance import accept
from chalicelib.calls import Call
from chalicelib.problems import explaining
from darkroom.models import JsonObject
from darkroom.requests import read_v1alpha1, read_v1alpha2
from darkroom.tasks import Task

routes = Blueprint(__name__)


@routes.route("/v1alpha1", methods=["POST"])
@explaining
def submit_v1alpha1() -> JsonObject:
    """Submit a task by the checkpoint that it needs."""
    call = Call(routes.current_request)
    task = accept(read_v1alpha1(call.body), call.key_id, call.now)
    return {"sd_model_checkpoint": task.model} | _accepted(task)


@routes.route("/v1alpha2", methods=["POST"])
@explaining
def submit_v1alpha2() -> JsonObject:
    """Submit a task by the runtime that shall do it."""
    call = Call(routes.current_request)
    task = accept(read_v1alpha2(call.body), call.key_id, call.now)
    return {"runtime": task.runtime} | _accepted(task)


def _accepted(task: Task) -> JsonObject:
    return {"id_task": task.id, "id": task.id, "output_location": task.output_location}
