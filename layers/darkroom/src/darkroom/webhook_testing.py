"""The ports of webhooks in memory, beside `darkroom.testing`."""

from uuid import UUID

from darkroom.deliveries import Delivery, newest_first
from darkroom.errors import UnknownSecretError
from darkroom.models import now
from darkroom.signatures import DEFAULT_SECRET, SigningKeys, check_secret_count, check_secret_name
from darkroom.tasks import TaskKey


class InMemorySigningKeys:
    """A `SigningKeyStore` in a dictionary."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], SigningKeys] = {}

    def get(self, owner: str, name: str) -> SigningKeys:
        """See `SigningKeyStore.get`."""
        if name == DEFAULT_SECRET:
            self._keys.setdefault((owner, name), SigningKeys.new(now()))
        try:
            return self._keys[owner, name]
        except KeyError:
            raise UnknownSecretError from None

    def rotate(self, owner: str, name: str) -> SigningKeys:
        """See `SigningKeyStore.rotate`."""
        check_secret_name(name)
        old = self._keys.get((owner, name))
        if old is None:
            check_secret_count({kept for who, kept in self._keys if who == owner})
        self._keys[owner, name] = SigningKeys.new(now()) if old is None else old.rotated(now())
        return self._keys[owner, name]


class InMemoryDeliveryLog:
    """A `DeliveryLog` in a dictionary."""

    def __init__(self) -> None:
        self._deliveries: dict[tuple[TaskKey, UUID], Delivery] = {}

    def get(self, key: TaskKey, webhook_id: UUID) -> Delivery | None:
        """See `DeliveryLog.get`."""
        return self._deliveries.get((key, webhook_id))

    def record(self, delivery: Delivery) -> None:
        """See `DeliveryLog.record`."""
        old = self.get(delivery.key, delivery.webhook_id)
        if old is None or old.made < delivery.made:
            self._deliveries[delivery.key, delivery.webhook_id] = delivery

    def of(self, key: TaskKey) -> list[Delivery]:
        """See `DeliveryLog.of`."""
        found = [delivery for delivery in self._deliveries.values() if delivery.key == key]
        return newest_first(found)
