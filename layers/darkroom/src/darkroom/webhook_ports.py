"""What webhooks need of the world, beside `darkroom.ports`."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from darkroom.deliveries import Delivery, Reply
from darkroom.notices import Notice
from darkroom.signatures import SigningKeys
from darkroom.tasks import TaskKey


class WebhookQueue(Protocol):
    """Where webhooks wait for their next try."""

    def send(self, notice: Notice, wait: float = 0) -> None:
        """Send a message that arrives in `wait` seconds, or earlier where that is long: then it is sent on."""

    def bury(self, notice: Notice) -> None:
        """Keep a message whose tries are over, for operators to send again."""


class Poster(Protocol):
    """The way to webhooks."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Post once. Whatever goes wrong on the way is a `Reply` too."""


class SigningKeyStore(Protocol):
    """The owners' webhook secrets."""

    def get(self, owner: str, name: str) -> SigningKeys:
        """An owner's secret, as it is or was a minute ago. The one named `default` comes to be when asked for.

        Raises:
            UnknownSecretError: the owner has none of that name.
        """

    def rotate(self, owner: str, name: str) -> SigningKeys:
        """Give an owner a new secret under a name, old or new.

        Raises:
            InvalidRequestError: the name is none, or the owner has too many.
        """


class DeliveryLog(Protocol):
    """What became of each webhook, for some days."""

    def get(self, key: TaskKey, webhook_id: UUID) -> Delivery | None:
        """One delivery as it is now, or None."""

    def record(self, delivery: Delivery) -> None:
        """Write a delivery after a try, unless another process has recorded that try, or a later one."""

    def of(self, key: TaskKey) -> list[Delivery]:
        """The deliveries of a task, the newest first; at most some hundred."""
