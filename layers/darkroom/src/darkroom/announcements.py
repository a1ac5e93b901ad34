"""Telling the world what became of a task: the one way out of the table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from darkroom.callbacks import Callback, callback_attributes
from darkroom.events import News, TaskEvent, event_id, news
from darkroom.models import now
from darkroom.notices import notice
from darkroom.ports import Completions, EventBus, Once, TaskQueue, Workflows
from darkroom.tasks import Task
from darkroom.webhook_ports import WebhookQueue


@dataclass(frozen=True)
class Announcements:
    """The use case: carries out what a change of a task calls for.

    It may be asked twice for one change. A second message to a queue is harmless (one claim wins), a second event
    or webhook has the id of the first; an end is announced once.
    """

    queue: TaskQueue
    bus: EventBus
    completions: Completions
    workflows: Workflows
    once: Once
    webhooks: WebhookQueue
    clock: Callable[[], datetime] = field(default=now)

    def tell(self, old: Task | None, new: Task) -> News:
        """Tell what changed from `old` (None: there was no task) to `new`, and return what that was."""
        change = news(old, new)
        if change.dispatch:
            self.queue.dispatch(new)
        if change.ended:
            self.once.do(event_id(new), lambda: self._tell_end(new, change))
        elif change.event:
            self.bus.put(TaskEvent.of(new))
        if not change.ended:
            self._notify(new, change)
        return change

    def _notify(self, task: Task, change: News) -> None:
        message = notice(task, change, self.clock())
        if message is not None:
            self.webhooks.send(message)

    def _tell_end(self, task: Task, change: News) -> None:
        """The callback comes last: where an earlier step fails, all are tried again, and it was not sent yet."""
        self.bus.put(TaskEvent.of(task))
        if task.task_token is not None:
            self.workflows.answer(task.task_token, task)
        self._notify(task, change)
        self.completions.publish(Callback.of(task), callback_attributes(task))
