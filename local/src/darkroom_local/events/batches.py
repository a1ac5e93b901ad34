"""A batch of records, delivered to a function: what it is given and what it reports back.

Partial failures: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html and
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from darkroom_local.events.patterns import Record
from darkroom_local.functions.invocations import Invocation, Invoke


@dataclass(frozen=True)
class Outcome:
    """How a batch fared: the identifiers of the records that failed, in the batch's order."""

    invocation: Invocation
    failed: tuple[str, ...]


async def deliver(
    records: Sequence[Record],
    function_name: str,
    *,
    invoke: Invoke,
    identify: Callable[[Record], str],
    partial_failures: bool,
) -> Outcome:
    """Invoke a function with records; `identify` gives the identifier by which it reports one as failed.

    Raises:
        InvokeError: the invocation was refused, so no record was seen.
    """
    payload = json.dumps({"Records": list(records)}).encode()
    invocation = await invoke(function_name, payload)
    everything = tuple(identify(record) for record in records)
    if invocation.function_error is not None:
        return Outcome(invocation, everything)
    if not partial_failures:
        return Outcome(invocation, ())
    failed = reported_failures(invocation.payload)
    if failed is None or not failed <= set(everything):
        return Outcome(invocation, everything)
    return Outcome(invocation, tuple(identifier for identifier in everything if identifier in failed))


def reported_failures(answer: bytes) -> set[str] | None:
    """The identifiers in an answer's `batchItemFailures`; None if it is malformed, which fails the whole batch."""
    try:
        parsed = json.loads(answer or b"null")
    except ValueError:
        return None
    if parsed is None:
        return set()
    failures = parsed.get("batchItemFailures") if isinstance(parsed, dict) else None
    if failures is None:
        # An answer that says nothing of failures is a success.
        return set()
    try:
        identifiers = {failure["itemIdentifier"] for failure in failures}
    except (KeyError, TypeError):
        return None
    return identifiers if all(isinstance(one, str) and one for one in identifiers) else None
