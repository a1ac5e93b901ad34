"""Receiving messages and claiming what they bring."""

import threading
import time
from datetime import timedelta

from darkroom import tasks
from darkroom.errors import MessageError, TransitionRefusedError
from darkroom.messages import TaskMessage
from darkroom.models import now
from darkroom.tasks import Refusal, Task
from darkroom_agent import metrics
from darkroom_agent.faults import AWS_FAULTS, backoff, describe
from darkroom_agent.leases import MESSAGE_OUTLASTS, Custody, whole_seconds
from darkroom_agent.logs import EventLog
from darkroom_agent.queues import Delivery

log = EventLog(__name__)

LONGEST_PUT_BACK = 60.0
"""Seconds after which a message that could not be handled is seen again at the latest."""

LONGEST_WAIT = 300.0
"""Likewise, where somebody else holds the task: each receive uses up one that the redrive policy allows."""

_QUICK_RECEIVES = 10  # a redrive policy that allows more, or a queue without one, is not to keep us busy


class Intake:
    """The way from the queue into our hands."""

    def __init__(self, custody: Custody, runtime_name: str) -> None:
        self._custody = custody
        self._runtime_name = runtime_name
        self._closed = threading.Event()

    def close(self) -> None:
        """Take nothing more. A message that a request under way still brings is put back, by its own thread."""
        self._closed.set()

    async def receive(self, wait: int) -> Delivery | None:
        """Take the next message, waiting up to `wait` seconds for one.

        Raises:
            ClientError, BotoCoreError: SQS could not be asked.
        """
        return await self._custody.threads(self._receive, wait)

    def _receive(self, wait: int) -> Delivery | None:
        if self._closed.is_set():
            return None
        # not the queue's own visibility timeout, which is made for whole runs: after a crash the message is to
        # be back when the lease is over
        delivery = self._custody.inbox.receive(wait, whole_seconds(self._custody.lease + MESSAGE_OUTLASTS))
        if delivery is not None and self._closed.is_set():
            # SIGTERM came while SQS was being asked; the event loop may be gone, so this thread puts it back
            self._custody.inbox.hide(delivery, 0)
            return None
        return delivery

    async def claim(self, delivery: Delivery) -> Task | None:
        """Take the task that the message brings; None where there is nothing to be done, or not now."""
        try:
            message = TaskMessage.from_json(delivery.body)
        except MessageError as error:
            log.warning("message_malformed", message_id=delivery.id, error=str(error))
            await self._leave_to_redrive(delivery)
            return None
        metadata = message.metadata
        if metadata.runtime != self._runtime_name:
            log.warning(
                "message_misrouted", message_id=delivery.id, task=str(metadata.key), runtime=metadata.runtime
            )
            await self._leave_to_redrive(delivery)
            return None
        left = self._custody.lease - (time.monotonic() - delivery.received)
        if left <= 0:
            log.warning("message_stale", task=str(metadata.key))  # others see it again
            return None
        try:
            change = tasks.claim(now(), timedelta(seconds=left), metadata.submission)
            return await self._custody.threads(self._custody.store.apply, metadata.key, change)
        except TransitionRefusedError as refused:
            await self._refused(delivery, message, refused)
        except AWS_FAULTS as error:
            metrics.RETRIES.labels("claim").inc()
            log.warning("claim_failed", task=str(metadata.key), error=describe(error))
            await self.put_back(delivery, backoff(delivery.receives, 1, LONGEST_PUT_BACK))
        return None

    async def put_back(self, delivery: Delivery, after: float) -> None:
        """Let the message be received again `after` seconds from now, or after the lease where SQS is out."""
        try:
            await self._custody.threads(self._custody.inbox.hide, delivery, whole_seconds(after))
        except AWS_FAULTS as error:
            log.warning("message_not_put_back", message_id=delivery.id, error=describe(error))

    async def _leave_to_redrive(self, delivery: Delivery) -> None:
        """Never delete what we do not understand: after some receives the queue moves it aside for a person."""
        await self.put_back(delivery, 1 if delivery.receives <= _QUICK_RECEIVES else LONGEST_PUT_BACK)

    async def _refused(self, delivery: Delivery, message: TaskMessage, refused: TransitionRefusedError) -> None:
        key = message.metadata.key
        log.info("claim_refused", task=str(key), refusal=refused.refusal, receives=delivery.receives)
        match refused.refusal:
            case Refusal.UNKNOWN | Refusal.REPLACED | Refusal.ENDED:
                await self._delete(delivery)
            case Refusal.DUE:
                if await self._expire(message):
                    await self._delete(delivery)
            case Refusal.LEASED if delivery.is_copy and delivery.receives == 1:
                await self._delete(delivery)  # whoever holds the task came to it by the other message
            case Refusal.LEASED if refused.task is not None and refused.task.lease_until is not None:
                left = (refused.task.lease_until - now()).total_seconds()
                await self.put_back(delivery, min(max(left, 1) * 2.0 ** (delivery.receives - 1), LONGEST_WAIT))
            case _:
                await self.put_back(delivery, backoff(delivery.receives, 1, LONGEST_PUT_BACK))

    async def _expire(self, message: TaskMessage) -> bool:
        try:
            await self._custody.threads(self._custody.store.apply, message.metadata.key, tasks.expire(now()))
        except TransitionRefusedError as refused:
            return refused.refusal is not Refusal.NOT_DUE  # it was submitted anew in between
        except AWS_FAULTS as error:
            log.warning("expiry_failed", task=str(message.metadata.key), error=describe(error))
            return False
        return True

    async def _delete(self, delivery: Delivery) -> None:
        try:
            await self._custody.threads(self._custody.inbox.delete, delivery)
        except AWS_FAULTS as error:
            log.warning("message_not_deleted", message_id=delivery.id, error=describe(error))
