"""What is kept of downloads."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom_agent.caches import InputCache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InputCache]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = InputCache(100)
    yield made
    made.close()
    assert [] == list(tmp_path.iterdir())


def test_what_is_kept_is_found_by_its_url_and_tag(cache: InputCache) -> None:
    cache.keep("u", '"1"', b"one")
    assert ('"1"', b"one", None) == (cache.tag("u"), cache.read("u", '"1"'), cache.read("u", '"2"'))
    cache.keep("u", '"2"', b"two")
    assert ('"2"', b"two") == (cache.tag("u"), cache.read("u", '"2"'))


def test_what_was_used_last_stays_when_there_is_no_room(cache: InputCache, tmp_path: Path) -> None:
    for url in ("a", "b", "c"):
        cache.keep(url, "t", bytes(30))
    cache.read("a", "t")
    cache.keep("d", "t", bytes(30))
    assert ["t", "", "t", "t"] == [cache.tag(url) for url in ("a", "b", "c", "d")]
    assert 90 == sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("tag", "size", "reason"),
    [("", 10, "nothing could be asked with it"), ("t", 60, "it would push out most others")],
)
def test_not_everything_is_kept(cache: InputCache, tag: str, size: int, reason: str) -> None:
    cache.keep("u", tag, bytes(size))
    assert "" == cache.tag("u"), reason


def test_a_disk_that_cannot_be_written_keeps_nothing(cache: InputCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    cache.keep("u", "t", b"x")
    assert "" == cache.tag("u")


def test_a_file_that_has_gone_is_forgotten(cache: InputCache, tmp_path: Path) -> None:
    cache.keep("u", "t", b"x")
    for file in tmp_path.rglob("1"):
        file.unlink()
    assert (None, "") == (cache.read("u", "t"), cache.tag("u"))
