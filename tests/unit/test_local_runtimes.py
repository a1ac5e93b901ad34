"""Which runtimes the local cloud can run, and what the others lack."""

from typing import Any, cast

import pytest

from darkroom.runtimes import Runtime
from darkroom_local.runtimes import Runtimes


def tier(urls: dict[str, str], **types: str) -> Runtimes:
    runtimes = {name: Runtime(name=name, type=type_) for name, type_ in types.items()}
    return Runtimes(cast("Any", None), runtimes, urls, lambda _part, _line: None)


def test_runtimes_with_a_preview_need_nothing_and_others_an_address() -> None:
    assert tier({}, sdruntime="sdwebui", comfy="comfyui")
    assert tier({"mine": "http://127.0.0.1:9000"}, mine="http")


@pytest.mark.parametrize(
    ("urls", "types", "words"),
    [
        pytest.param(
            {}, {"mine": "http"}, "mine: there is no preview of type http: --runtime-url mine=", id="no preview"
        ),
        pytest.param(
            {"comfy": "http://a"},
            {"sdruntime": "sdwebui"},
            "comfy=http://a: there is no such runtime; there is: sdruntime",
            id="no such runtime",
        ),
        pytest.param(
            {"mine": "http://a"},
            {"mine": "sdwebiu"},
            "mine=sdwebiu: no adapter for runtimes of this type is installed; there is: comfyui, http, sdwebui",
            id="no adapter",
        ),
    ],
)
def test_a_runtime_that_cannot_be_run_is_named(urls: dict[str, str], types: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tier(urls, **types)
