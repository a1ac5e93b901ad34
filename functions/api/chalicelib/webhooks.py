"""Routes of webhooks: the secrets that sign them, and what became of them."""

from typing import TYPE_CHECKING

from chalice.app import Blueprint

from chalicelib.calls import NO_BODY, Call
from chalicelib.lazy import lazy_module
from chalicelib.problems import explaining
from chalicelib.wiring import tasks
from darkroom.models import JsonObject

if TYPE_CHECKING:
    from chalicelib import more_wiring as wiring
    from darkroom import deliveries, signatures
else:
    wiring = lazy_module("chalicelib.more_wiring")
    deliveries, signatures = lazy_module("darkroom.deliveries"), lazy_module("darkroom.signatures")

routes = Blueprint(__name__)


@routes.route("/v1/tasks/{id}/deliveries", methods=["GET"])
@explaining
def list_deliveries(id: str) -> JsonObject:  # noqa: A002  the path's own name for it
    """List what became of a task's webhooks."""
    task = tasks.get(Call(routes.current_request).task_key(id))
    return deliveries.DeliveryList(items=tuple(wiring.deliveries.of(task.key))).model_dump(mode="json")


@routes.route("/v1/webhooks/secrets/{name}", methods=["GET"])
@explaining
def get_webhook_secret(name: str) -> JsonObject:
    """Read a secret that signs webhooks. The one named `default` is there for everyone."""
    keys = wiring.secrets.get(Call(routes.current_request).key_id, name)
    return signatures.WebhookSecret.of(name, keys).model_dump(mode="json")


@routes.route("/v1/webhooks/secrets/{name}", methods=["POST"], content_types=NO_BODY)
@explaining
def rotate_webhook_secret(name: str) -> JsonObject:
    """Make a secret, or a new one in its place; the old one goes on signing for a day."""
    keys = wiring.secrets.rotate(Call(routes.current_request).key_id, name)
    return signatures.WebhookSecret.of(name, keys).model_dump(mode="json")
