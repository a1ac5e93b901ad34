"""A request as the routes need it: who calls, and what for."""

import re

from chalice.app import Request

from chalicelib.wiring import settings
from darkroom.errors import FieldError, ForbiddenError, InvalidRequestError, TaskNotFoundError
from darkroom.listings import TaskQuery
from darkroom.models import now
from darkroom.requests import is_id, validate
from darkroom.task_requests import make_id
from darkroom.tasks import TaskKey

NO_BODY = ["*/*"]
"""The content types that are taken where there is nothing to read: some clients name one even so."""

MAX_WAIT = 25
"""The longest that an answer is held back, in seconds: API Gateway gives up after 29."""

_SAFETY = 2.0
"""Seconds of the function's time that are left for answering."""

_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)
_OWNER = re.compile(r"[A-Za-z0-9]{1,64}")
_MANY = frozenset({"status", "type"})


class Call:
    """One request, and when it came."""

    def __init__(self, request: Request | None) -> None:
        assert request is not None, "Chalice sets the request before it calls a view"  # noqa: S101
        self._request = request
        self.now = now()

    @property
    def body(self) -> bytes:
        """The body as it was sent."""
        body = self._request.raw_body
        return body if isinstance(body, bytes) else body.encode()

    @property
    def key_id(self) -> str:
        """The id of the caller's API key: tasks belong to keys."""
        return str(self._request.context["identity"]["apiKeyId"])

    @property
    def owner(self) -> str:
        """Whose tasks are meant: the caller's; or, where an operator names one, another's (`?owner=`).

        Raises:
            ForbiddenError: the caller is no operator and names another.
            InvalidRequestError: no key can have the id that an operator names.
        """
        asked = self._queried("owner")
        if not asked or asked == [self.key_id]:
            return self.key_id
        self.require_operator()
        if not _OWNER.fullmatch(asked[-1]):
            raise InvalidRequestError(fields=[FieldError("owner", "is no id of an API key")])
        return asked[-1]

    def require_operator(self) -> None:
        """Refuse everyone but operators.

        Raises:
            ForbiddenError: the caller is none.
        """
        if self.key_id != settings.operator_key_id:
            raise ForbiddenError("Only an operator's key may do that.")

    def header(self, name: str) -> str | None:
        """A header's value, or None."""
        value: str | None = self._request.headers.get(name)
        return value

    def task_key(self, id_: str) -> TaskKey:
        """What names the task that a path means.

        Raises:
            TaskNotFoundError: no task can have that id.
        """
        if not is_id(id_):
            raise TaskNotFoundError(f"There is no task {id_!r}.")
        return TaskKey(self.owner, id_)

    def new_id(self) -> str:
        """An id for a task that comes without one."""
        return make_id(self.key_id, self.header("Idempotency-Key"), self.now)

    def task_query(self) -> TaskQuery:
        """The query of a list.

        Raises:
            InvalidRequestError: a parameter is unknown or wrong.
        """
        names = [name for name in self._request.query_params or {} if name != "owner"]
        return validate(TaskQuery, {name: self._value(name) for name in names})

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, the last of each name."""
        return {name: self._queried(name)[-1] for name in self._request.query_params or {}}

    def wait(self, remaining: float) -> int | None:
        """For how many seconds the caller wants to wait (`Prefer: wait=`); `remaining` is the function's time."""
        match = _WAIT.search(self.header("Prefer") or "")
        if match is None:
            return None
        return max(0, min(int(match[1]), MAX_WAIT, int(remaining - _SAFETY)))

    def location(self, id_: str) -> str:
        """The path of a task that was submitted by this call."""
        return f"{self._request.context['path'].rstrip('/')}/{id_}"

    @property
    def base_url(self) -> str:
        """The address of the API's stage, as the caller knows it."""
        context = self._request.context
        scheme = self.header("X-Forwarded-Proto") or "https"
        path = context["path"].removesuffix(context["resourcePath"])
        return f"{scheme}://{context['domainName']}{path}"

    def _value(self, name: str) -> str | list[str]:
        values = self._queried(name)
        if name in _MANY:
            return values
        if len(values) > 1:
            raise InvalidRequestError(fields=[FieldError(name, "is given more than once")])
        return values[0]

    def _queried(self, name: str) -> list[str]:
        parameters = self._request.query_params
        return list(parameters.getlist(name)) if parameters is not None and name in parameters else []
