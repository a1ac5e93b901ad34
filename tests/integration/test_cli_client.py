"""The client against a server that misbehaves, both ways of calling it: with and without asyncio."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli_server import CUT, KEY, PNG, Reply, StubDarkroom, problem, serve

from darkroom_cli import (
    ApiError,
    AsyncClient,
    Client,
    ConflictError,
    InvalidRequestError,
    Limits,
    NotFoundError,
    Polling,
    RateLimitedError,
    Retries,
    ServerError,
    TaskNotSucceededError,
    Timeouts,
    TransferError,
    Transfers,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
    WaitTimeoutError,
)
from darkroom_cli.batch_clients import AsyncBatches, Batches

QUICK = Limits(
    timeouts=Timeouts(connect=1, read=0.3, write=1),
    retries=Retries(tries=4, first=0.01, longest=0.05, patience=1.5),
    polling=Polling(first=0.01, longest=0.05),
    transfers=Transfers(chunk=256),
)
DOG = {"type": "text-to-image", "content": {"prompt": "A dog"}, "runtime": "sdruntime"}

Do = Callable[..., Any]


@pytest.fixture
def stub() -> Iterator[StubDarkroom]:
    with serve(StubDarkroom()) as stub:
        yield stub


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest, stub: StubDarkroom) -> Do:
    """Calls a method of the client, by name, and gives its result; that of an iterator as a list."""

    def sync(name: str, *args: Any, **kwargs: Any) -> Any:
        with Client(f"{stub.url}/prod", KEY, limits=QUICK) as client:
            result = getattr(client, name)(*args, **kwargs)
            return list(result) if isinstance(result, Iterator) else result

    async def call(name: str, *args: Any, **kwargs: Any) -> Any:
        async with AsyncClient(f"{stub.url}/prod", KEY, limits=QUICK) as client:
            result = getattr(client, name)(*args, **kwargs)
            return [item async for item in result] if isinstance(result, AsyncIterator) else await result

    def with_asyncio(name: str, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(call(name, *args, **kwargs))

    return sync if request.param == "sync" else with_asyncio


def test_what_is_asked_for_comes_into_a_folder(do: Do, tmp_path: Path) -> None:
    finished = do("run", tmp_path / "new", **DOG, id="dog")

    assert finished.task.succeeded
    assert finished.files == (tmp_path / "new" / "dog-abcd-1.png",)
    assert [path.read_bytes() for path in (tmp_path / "new").iterdir()] == [PNG]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(problem(503, "unavailable"), id="overloaded"),
        pytest.param(Reply(502, b"<html>"), id="a gateway that speaks HTML"),
        pytest.param(CUT, id="a connection that breaks before the answer"),
        pytest.param(Reply(200, {"id": "x" * 200}, cut=True), id="a connection that breaks in the answer"),
        pytest.param(Reply(200, {}, delay=0.4), id="no answer in time"),
    ],
)
def test_a_submission_that_meets_a_passing_fault_is_sent_again_as_the_same_one(
    stub: StubDarkroom, do: Do, fault: Reply
) -> None:
    stub.script = [fault, fault]

    task = do("submit", **DOG)

    first, *others = stub.requests("POST", "/prod/v1/tasks")
    assert (len(others), len(stub.tasks)) == (2, 1)
    assert {other.headers["idempotency-key"] for other in others} == {first.headers["idempotency-key"]}
    assert {other.body for other in others} == {first.body}
    assert first.json["id"] == task.id


def test_retry_after_is_obeyed(stub: StubDarkroom, do: Do) -> None:
    stub.add("dog")
    stub.script = [Reply(429, {}, {"Retry-After": "1"})]
    begun = time.monotonic()

    do("get", "dog")

    assert 1.0 <= time.monotonic() - begun < 2.5


def test_a_retry_after_beyond_patience_is_told_and_not_waited_for(stub: StubDarkroom, do: Do) -> None:
    stub.script = [Reply(429, {"title": "Too many."}, {"Retry-After": "3600"})]

    with pytest.raises(RateLimitedError, match="Too many") as caught:
        do("get", "dog")

    assert (caught.value.retry_after, len(stub.seen)) == (3600, 1)


def test_what_does_not_pass_is_told_after_a_few_tries(stub: StubDarkroom, do: Do) -> None:
    stub.script = [problem(500, "internal-server-error", request_id="r1")] * 9

    with pytest.raises(ServerError) as caught:
        do("get", "dog")

    assert (caught.value.request_id, len(stub.seen)) == ("r1", QUICK.retries.tries)


def test_a_retry_that_may_have_been_done_is_not_repeated(stub: StubDarkroom, do: Do) -> None:
    stub.script = [problem(503, "unavailable")]

    with pytest.raises(ServerError):
        do("retry", "dog")

    assert len(stub.seen) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, UnauthorizedError),
        (403, UnauthorizedError),
        (404, NotFoundError),
        (409, ConflictError),
        (413, InvalidRequestError),
        (418, ApiError),
    ],
)
def test_a_refusal_is_an_error_of_its_kind_and_is_not_repeated(
    stub: StubDarkroom, do: Do, status: int, kind: type[ApiError]
) -> None:
    stub.script = [problem(status, "a-reason", errors=[{"field": "content.steps", "message": "must be 1 to 150"}])]

    with pytest.raises(kind) as caught:
        do("submit", **DOG)

    error = caught.value
    assert type(error) is kind
    assert (error.status, error.type) == (status, "a-reason")
    assert [(fault.field, fault.message) for fault in error.fields] == [("content.steps", "must be 1 to 150")]
    assert "content.steps: must be 1 to 150" in str(error)
    assert len(stub.seen) == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>hello</html>", id="HTML"),
        pytest.param(b"", id="nothing"),
        pytest.param({"message": "hello"}, id="somebody else's JSON"),
        pytest.param([1, 2], id="a list"),
        pytest.param(b"\xff\xfe", id="no text"),
    ],
)
def test_an_answer_that_is_not_darkrooms_says_so(stub: StubDarkroom, do: Do, body: Any) -> None:
    stub.script = [Reply(200, body)]

    with pytest.raises(UnexpectedAnswerError, match="not one of Darkroom's"):
        do("get", "dog")


def test_a_refusal_without_a_reason_is_still_told_by_its_status(stub: StubDarkroom, do: Do) -> None:
    stub.script = [Reply(404, b"not json")]

    with pytest.raises(NotFoundError, match="404"):
        do("get", "dog")


def test_nobody_there_is_unreachable_and_says_who() -> None:
    with (
        Client("http://127.0.0.1:9", KEY, limits=QUICK) as client,
        pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"),
    ):
        client.get("dog")


def test_unknown_fields_are_kept_and_shown(stub: StubDarkroom, do: Do) -> None:
    stub.add("dog")

    assert do("get", "dog").as_json()["from_the_future"] is True


def test_pages_are_fetched_until_the_last(stub: StubDarkroom, do: Do) -> None:
    for number in range(250):
        stub.add(f"t{number}")

    tasks = do("list")

    assert [task.id for task in tasks] == [f"t{number}" for number in reversed(range(250))]
    assert [it.query["limit"] for it in stub.seen] == [["100"]] * 3


def test_a_limit_spares_pages_and_filters_are_passed_on(stub: StubDarkroom, do: Do) -> None:
    for number in range(20):
        stub.add(f"t{number}", status="failed" if number % 2 else "queued")

    tasks = do("list", limit=3, status=["failed", "expired"])

    assert [task.id for task in tasks] == ["t19", "t17", "t15"]
    (seen,) = stub.seen
    assert (seen.query["limit"], seen.query["status"]) == (["3"], ["failed", "expired"])


def test_pages_that_grow_shrink_or_are_empty_between_reads_lose_nothing(stub: StubDarkroom, do: Do) -> None:
    pages = [
        {"items": [stub.add("a"), stub.add("b")], "next_cursor": "1"},
        {"items": [], "next_cursor": "2"},
        {"items": [stub.add("c")], "next_cursor": None},
    ]
    stub.script = [Reply(200, page) for page in pages]

    assert [task.id for task in do("list")] == ["a", "b", "c"]


def test_pages_that_lead_in_a_circle_end_in_an_error(stub: StubDarkroom, do: Do) -> None:
    stub.script = [Reply(200, {"items": [], "next_cursor": "1"})] * 9

    with pytest.raises(UnexpectedAnswerError, match="circle"):
        do("list")


def test_waiting_prefers_an_answer_that_is_held_back(stub: StubDarkroom, do: Do) -> None:
    stub.add("dog")

    assert do("wait", "dog").succeeded
    assert stub.seen[0].headers["prefer"] == "wait=20"


def test_waiting_ends_in_time_and_the_task_goes_on(stub: StubDarkroom, do: Do) -> None:
    stub.looks = 10**6
    stub.add("dog")

    with pytest.raises(WaitTimeoutError, match=r"still running after 0\.2 s") as caught:
        do("wait", "dog", timeout=0.2)

    assert caught.value.task.id == "dog"


def test_watching_tells_each_change_once(stub: StubDarkroom, do: Do) -> None:
    stub.looks = 4
    stub.add("dog")

    assert [task.progress for task in do("watch", "dog")] == [0.25, 0.5, 0.75, 1.0]


def test_a_task_that_fails_is_an_error_that_says_why(stub: StubDarkroom, do: Do, tmp_path: Path) -> None:
    error = {"type": "model_not_found", "message": "there is no model 'x'", "retryable": False}
    stub.on_request = lambda seen: (
        Reply(200, stub.add("dog", status="failed", error=error)) if seen.method == "GET" else None
    )

    with pytest.raises(TaskNotSucceededError, match="model_not_found: there is no model 'x'"):
        do("run", tmp_path, **DOG, id="dog")


def test_many_are_submitted_in_hundreds_and_each_has_its_own_outcome(stub: StubDarkroom, do: Do) -> None:
    forms = [DOG | {"runtime": "typo"} if number == 3 else DOG for number in range(130)]

    outcomes = do("submit_many", forms)

    assert [len(it.json["tasks"]) for it in stub.requests("POST", "/prod/v1/tasks:batch")] == [100, 30]
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, ApiError)] == [3]
    assert outcomes[3].type == "unknown-runtime"
    assert len({outcome.id for outcome in outcomes if not isinstance(outcome, ApiError)}) == 129


def test_a_small_file_is_uploaded_in_one_piece_without_the_key(stub: StubDarkroom, do: Do, tmp_path: Path) -> None:
    path = tmp_path / "ein Bild (größer).png"
    path.write_bytes(PNG)
    moved: list[tuple[int, int]] = []

    link = do("upload", path, lambda done, size: moved.append((done, size)))

    form = stub.requests("POST", "/prod/v1/uploads")[0].json
    assert form == {"filename": "ein Bild (gr__er).png", "size": len(PNG), "content_type": "image/png"} | {
        "filename": form["filename"]
    }
    assert form["filename"].isascii()
    assert link == f"s3://bucket/uploads/u/{form['filename']}"
    (put,) = [it for it in stub.seen if it.method == "PUT"]
    assert (put.body, put.headers["content-length"], put.headers["x-amz-meta-mark"]) == (PNG, str(len(PNG)), "yes")
    assert "x-api-key" not in put.headers
    assert moved[-1] == (len(PNG), len(PNG))


def test_a_large_file_is_uploaded_in_parts_and_put_together(stub: StubDarkroom, do: Do, tmp_path: Path) -> None:
    data = bytes(range(256)) * 13
    (tmp_path / "large.bin").write_bytes(data)
    moved: list[int] = []
    broken = iter([Reply(503)])
    stub.on_request = lambda seen: next(broken, None) if seen.path.endswith("large.bin.2") else None

    do("upload", tmp_path / "large.bin", lambda done, _: moved.append(done))

    parts = [stub.files[f"large.bin.{number}"] for number in (1, 2, 3, 4)]
    assert b"".join(parts) == data
    completed = stub.requests("POST", "/prod/v1/uploads:complete")[0].json
    assert [part["etag"] for part in completed["parts"]] == [f'"large.bin.{number}"' for number in (1, 2, 3, 4)]
    assert moved[-1] == len(data)


def test_a_file_that_is_not_there_is_told_before_anything_is_sent(stub: StubDarkroom, do: Do) -> None:
    with pytest.raises(TransferError, match=r"nowhere\.png"):
        do("upload", "nowhere.png")

    assert stub.seen == []


def test_downloads_leave_no_half_files_behind(stub: StubDarkroom, do: Do, tmp_path: Path) -> None:
    images = [stub.image("a.png"), stub.image("b.png")]
    stub.files = {"a.png": PNG}
    stub.add("dog", status="succeeded", images=images)

    with pytest.raises(TransferError, match="404"):
        do("download", "dog", tmp_path)

    assert {path.name for path in tmp_path.iterdir()} <= {"a.png"}


def test_a_download_that_breaks_off_is_begun_again(stub: StubDarkroom, do: Do, tmp_path: Path) -> None:
    stub.files = {"a.png": PNG}
    stub.add("dog", status="succeeded", images=[stub.image("a.png")])
    breaks = iter([Reply(200, PNG, cut=True), Reply(500)])
    stub.on_request = lambda seen: next(breaks, None) if seen.path.startswith("/storage") else None

    (path,) = do("download", "dog", tmp_path)

    assert path.read_bytes() == PNG
    assert [it.name for it in tmp_path.iterdir()] == ["a.png"]


def test_links_that_have_expired_are_asked_for_anew(stub: StubDarkroom, do: Do, tmp_path: Path) -> None:
    stub.files = {"a.png": PNG}
    stub.add("dog", status="succeeded", images=[stub.image("a.png")])
    expired = iter([Reply(403, b"<Error/>")])
    stub.on_request = lambda seen: next(expired, None) if seen.path.startswith("/storage") else None

    (path,) = do("download", "dog", tmp_path)

    assert path.read_bytes() == PNG
    assert len(stub.requests("GET", "/prod/v1/tasks/dog")) == 2


def test_a_name_without_an_extension_gets_that_of_its_content(stub: StubDarkroom, do: Do, tmp_path: Path) -> None:
    stub.files = {"picture": PNG}
    stub.add("dog", status="succeeded", images=[stub.image("picture")])

    assert do("download", "dog", tmp_path) == (tmp_path / "picture.png",)


def test_a_name_cannot_leave_its_folder(stub: StubDarkroom, do: Do, tmp_path: Path) -> None:
    image = {"uri": "s3://bucket/output/..", "url": f"{stub.url}/storage/x"}
    stub.add("dog", status="succeeded", images=[image])

    with pytest.raises(TransferError, match="no name"):
        do("download", "dog", tmp_path)


def test_a_folder_that_cannot_be_written_is_told(stub: StubDarkroom, do: Do, tmp_path: Path) -> None:
    stub.files = {"a.png": PNG}
    stub.add("dog", status="succeeded", images=[stub.image("a.png")])
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(TransferError, match="file"):
        do("download", "dog", tmp_path / "file")


def test_the_rest_of_the_api_is_reached_by_name(stub: StubDarkroom, do: Do) -> None:
    stub.add("dog")

    assert do("cancel", "dog").status == "cancelled"
    assert do("retry", "dog").status == "queued"
    assert do("delete", "dog") is None
    assert [runtime.name for runtime in do("runtimes")] == ["sdruntime"]
    assert do("runtime", "sdruntime").health.backlog == 2
    assert do("redrive", "sdruntime").moved == 3


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def shape(kind: type) -> dict[str, list[str] | None]:
        public = {name: it for name, it in vars(kind).items() if not name.startswith("_")}
        return {
            name: list(inspect.signature(it).parameters) if callable(it) else None for name, it in public.items()
        }

    assert shape(Client) == shape(AsyncClient)
    assert shape(Batches) == shape(AsyncBatches)


def test_a_client_never_shows_its_key(stub: StubDarkroom) -> None:
    with Client(stub.url, "very-secret") as client:
        assert "very-secret" not in repr(client)
        assert stub.url in repr(client)
