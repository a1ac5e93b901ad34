"""Sending webhooks: one try of one delivery, and what follows from it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import random

from darkroom import __version__
from darkroom.deliveries import (
    Delivery,
    DeliveryState,
    Fault,
    Reply,
    Schedule,
    WebhookFailed,
    schedule_of,
)
from darkroom.errors import UnknownSecretError
from darkroom.models import now
from darkroom.notices import Notice
from darkroom.ports import EventBus
from darkroom.signatures import DEFAULT_SECRET, signature_headers
from darkroom.webhook_ports import DeliveryLog, Poster, SigningKeyStore, WebhookQueue
from darkroom.webhooks import AnyWebhookEvent

EARLY = 1.0
"""How long before its time a try may be made, in seconds: the queue counts in whole ones."""

HEADERS = {"content-type": "application/json", "user-agent": f"darkroom/{__version__}"}


@dataclass(frozen=True)
class Courier:
    """The use case: makes the try that a notice calls for, and sees to the next one.

    The message of the next try is sent before this one is recorded, and the record decides which message counts. So
    whenever the process dies, the message that brought it here, or the next one, brings the delivery on; and where
    both do, the record stops one of them.
    """

    keys: SigningKeyStore
    poster: Poster
    log: DeliveryLog
    queue: WebhookQueue
    bus: EventBus
    schedule: Callable[[AnyWebhookEvent], Schedule] = schedule_of
    clock: Callable[[], datetime] = field(default=now)
    chance: Callable[[], float] = field(default=random)

    def deliver(self, notice: Notice) -> Delivery | None:
        """Make one try.

        Returns:
            The delivery after it; None where none was made: it is not due, or this message counts no more.
        """
        at = self.clock()
        if notice.wait(at) > EARLY:
            self.queue.send(notice, notice.wait(at))
            return None
        past = self.log.get(notice.key, notice.webhook_id)
        if past is not None and past.made > notice.made:
            return None
        started = time.monotonic()
        reply = self._post(notice, at)
        took = time.monotonic() - started
        wait = self._wait(notice, reply)
        delivery = (past or Delivery.of(notice)).after(reply, at, took, wait)
        self._go_on(notice, delivery, reply)
        self.log.record(delivery)
        return delivery

    def _post(self, notice: Notice, at: datetime) -> Reply:
        body = notice.body.encode()
        try:
            keys = self.keys.get(notice.owner, notice.secret_ref or DEFAULT_SECRET)
        except UnknownSecretError:
            return Reply(fault=Fault.UNKNOWN_SECRET)
        headers = HEADERS | signature_headers(keys.at(at), str(notice.webhook_id), at, body)
        return self.poster.post(notice.url, body, headers)

    def _wait(self, notice: Notice, reply: Reply) -> float | None:
        if reply.delivered or reply.final:
            return None
        return self.schedule(notice.type).delay(notice.made + 1, reply.retry_after, self.chance)

    def _go_on(self, notice: Notice, delivery: Delivery, reply: Reply) -> None:
        following = delivery.tries[-1].next_at
        if following is not None:
            next_ = notice.again(following)
            self.queue.send(next_, next_.wait(self.clock()))
        elif delivery.state is DeliveryState.FAILED and self.schedule(notice.type).lasting:
            if not reply.final:
                self.queue.bury(notice.again(delivery.tries[-1].at))
            self.bus.put(WebhookFailed.of(delivery))
