"""The resources of a REST API, and which of them a request's path means.

API Gateway first finds the resource, a fixed segment before `{parameter}` before `{greedy+}`, and then its method:
so a path that exists never falls through to a greedy one for want of a method.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from darkroom_local.resources import Route

LITERAL, PARAMETER, GREEDY = range(3)


@dataclass(frozen=True)
class Resource:
    """A path of the API and its methods."""

    path: str
    methods: dict[str, Route] = field(default_factory=dict)

    @property
    def resource_id(self) -> str:
        """An identifier of the length that API Gateway's have, the same in every run."""
        return hashlib.sha256(self.path.encode()).hexdigest()[:6]

    @property
    def rank(self) -> list[int]:
        """Sorts what is matched first first."""
        return [_kind(segment) for segment in _segments(self.path)]

    def match(self, path: str) -> dict[str, str] | None:
        """The path's parameters, still URL-encoded, as API Gateway gives them; None if it is another path."""
        own, given = _segments(self.path), _segments(path)
        parameters: dict[str, str] = {}
        for index, segment in enumerate(own):
            if index >= len(given):
                return None
            kind = _kind(segment)
            if kind == GREEDY:
                return parameters | {segment[1:-2]: "/".join(given[index:])}
            if kind == PARAMETER:
                parameters[segment[1:-1]] = given[index]
            elif segment != given[index]:
                return None
        return parameters if len(own) == len(given) else None

    def route(self, method: str) -> Route | None:
        """The route of a method, or that of `ANY`."""
        return self.methods.get(method) or self.methods.get("ANY")


class Router:
    """Finds resources."""

    def __init__(self, routes: Iterable[Route]) -> None:
        resources: dict[str, Resource] = {}
        for route in routes:
            resource = resources.setdefault(route.path, Resource(route.path))
            resource.methods[route.method.upper()] = route
        self._resources = sorted(resources.values(), key=lambda resource: resource.rank)

    def find(self, path: str) -> tuple[Resource, dict[str, str]] | None:
        """The resource of a path and the path's parameters; None if there is none."""
        for resource in self._resources:
            parameters = resource.match(path)
            if parameters is not None:
                return resource, parameters
        return None


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def _kind(segment: str) -> int:
    if not (segment.startswith("{") and segment.endswith("}")):
        return LITERAL
    return GREEDY if segment.endswith("+}") else PARAMETER
