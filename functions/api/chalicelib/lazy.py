"""Modules that are imported when they are first used.

Most requests are about tasks. What the other routes stand on would double a cold start, and most processes never
need it.
"""

import importlib
from typing import Any


class _LazyModule:
    """Stands for a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:  # noqa: ANN401  what the module has
        return getattr(importlib.import_module(self._name), attribute)


def lazy_module(name: str) -> Any:  # noqa: ANN401  a module
    """The module of that name, imported at the first look at one of its attributes."""
    return _LazyModule(name)
