"""Errors, and the codes that commands end with."""

from typing import Any

import pytest

from darkroom_cli import errors
from darkroom_cli.exits import ExitCode, exit_code
from darkroom_cli.limits import Retries
from darkroom_cli.tasks import Task

TASK = Task.model_validate({"id": "dog", "type": "text-to-image", "status": "failed"})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError(), 2),
        (errors.NotRunningError(), 2),
        (errors.UsageError(), 2),
        (errors.InvalidRequestError(400, {}), 2),
        (errors.NotFoundError(404, {}), 3),
        (errors.TaskNotSucceededError(TASK), 4),
        (errors.WaitTimeoutError(TASK, 1), 5),
        (errors.UnreachableError(), 6),
        (errors.RateLimitedError(429, {}), 6),
        (errors.ServerError(500, {}), 6),
        (errors.UnauthorizedError(401, {}), 7),
        (errors.ConflictError(409, {}), 8),
        (errors.TransferError(), 1),
        (errors.AwsError(), 1),
    ],
)
def test_each_error_ends_a_command_with_its_code(error: errors.ClientError, code: int) -> None:
    assert exit_code(error) == code


def test_every_code_has_a_meaning() -> None:
    assert all(code.meaning for code in ExitCode)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({"type": "urn:darkroom:problem:x", "title": "No."}, "No."),
        ({"type": "urn:darkroom:problem:x", "title": "No.", "detail": "Never."}, "No. Never."),
        ({"type": "t", "title": "No.", "errors": [{"field": "a.b", "message": "is 1"}]}, "No.\n  a.b: is 1"),
        ({"message": "Forbidden"}, "The API answered 403. Forbidden"),
        ({"errors": "rubbish", "title": 3}, "3"),
        ({"errors": [1, {"x": 2}]}, "The API answered 403.\n  "),
    ],
)
def test_a_refusal_is_told_in_the_apis_words(problem: dict[str, Any], message: str) -> None:
    assert str(errors.ApiError(403, problem)) == message


def test_an_answer_in_another_form_is_suspected_to_come_from_elsewhere() -> None:
    assert "stage" in str(errors.UnauthorizedError(403, {"message": "Forbidden"}).hint)
    assert "API key" in str(errors.UnauthorizedError(401, {"type": "urn:darkroom:problem:unauthorized"}).hint)


@pytest.mark.parametrize(
    ("error", "repeatable", "again"),
    [
        (errors.ServerError(503, {}), True, True),
        (errors.ServerError(503, {}), False, False),
        (errors.RateLimitedError(429, {}), False, True),
        (errors.UnreachableError(sent=True), True, True),
        (errors.UnreachableError(sent=True), False, False),
        (errors.UnreachableError(sent=False), False, True),
        (errors.NotFoundError(404, {}), True, False),
        (errors.TransferError(status=503), True, True),
        (errors.TransferError(status=403), True, False),
        (errors.TransferError("no disk"), True, False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: errors.ClientError, repeatable: bool, again: bool) -> None:  # noqa: FBT001
    assert (Retries().pause(error, 1, repeatable=repeatable) is not None) is again


def test_pauses_double_up_to_the_longest_and_differ() -> None:
    retries = Retries(tries=20, first=1, longest=4)

    pauses = [
        [retries.pause(errors.ServerError(503, {}), tried, repeatable=True) for _ in range(30)]
        for tried in (1, 2, 5)
    ]

    for middle, several in zip((1, 2, 4), pauses, strict=True):
        assert all(pause is not None and 0.5 * middle <= pause <= 1.5 * middle for pause in several)
        assert len(set(several)) > 1
