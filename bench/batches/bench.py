"""What a batch of many rows takes of the functions that read its manifest and count its rows.

`python -m bench.batches.bench` prints, for each size, the seconds of CPU and the most memory that Python held.
Files and table are in memory, so this is our part; what AWS adds is the transfer.
"""

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from darkroom.batch_files import Asked, BatchFiles
from darkroom.batch_testing import InMemoryRowFiles
from darkroom.batches import Batch, Format, RowError, RowRecord, RowStatus
from darkroom.testing import InMemoryBlobStore

SIZES = (1_000, 10_000, 100_000)
START = datetime(2026, 1, 31, tzinfo=UTC)
DEFAULTS = {"runtime": "sdruntime", "type": "text-to-image", "content": {"width": 512, "height": 512}}
PROMPT = "a lighthouse at dusk, oil on canvas, its light over a rough sea, gulls, a ship far out, number "


@dataclass(frozen=True)
class Measured:
    """One step's cost: seconds of CPU, and megabytes at most."""

    seconds: float
    megabytes: float


def batch(format_: Format) -> Batch:
    """A batch whose manifest lies in memory."""
    return Batch(
        owner="owner",
        id="bench",
        fingerprint="",
        folder="s3://bucket/.batches/owner/bench",
        manifest="s3://bucket/uploads/owner/manifest",
        format=format_,
        kind="tasks",
        results="s3://bucket/batches/bench",
        created_at=START,
        started_at=START,
        expires_at=START + timedelta(days=14),
        max_concurrency=1000,
        tolerated_failure_percentage=100,
    )


def manifest(format_: Format, rows: int) -> bytes:
    """So many rows."""
    if format_ == "csv":
        lines = ["prompt,steps,seed,cfg_scale", *(f'"{PROMPT}{n}",20,{n},7.5' for n in range(rows))]
    else:
        content = {"steps": 20, "cfg_scale": 7.5}
        lines = [json.dumps({"content": content | {"prompt": f"{PROMPT}{n}", "seed": n}}) for n in range(rows)]
    return "\n".join(lines).encode()


def records(rows: int) -> Iterator[RowRecord]:
    """So many rows that have ended, every tenth of them without success."""
    error = RowError(type="boom", message="the runtime answered 500")
    for number in range(1, rows + 1):
        failed = number % 10 == 0
        images = () if failed else (f"s3://bucket/batches/bench/bench-{number}/bench-{number}-abcd-1.png",)
        status = RowStatus.FAILED if failed else RowStatus.SUCCEEDED
        yield RowRecord(
            row=number, run=1, status=status, id=f"bench-{number}", images=images, error=error if failed else None
        )


def measure(work: Callable[[], object]) -> Measured:
    """Do something twice: once for its time, and once for its memory, since to watch that takes time."""
    begun = time.process_time()
    work()
    seconds = time.process_time() - begun
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Measured(seconds, peak / 1e6)


def steps(rows: int) -> Iterator[tuple[str, Measured]]:
    """Every step that goes over all rows."""
    for format_ in ("csv", "jsonl"):
        one, blobs = batch(format_), InMemoryBlobStore()
        files = BatchFiles(blobs, InMemoryRowFiles(blobs))
        blobs.put(one.manifest, manifest(format_, rows), "")
        files.save(one, Asked(defaults=DEFAULTS))
        yield f"read {format_}", measure(lambda files=files, one=one: files.take_manifest(one))
    again = one.model_copy(update={"rows": rows, "run": 2})
    yield "index a retry", measure(lambda: files.index_run(again, set(range(1, rows, 2))))
    yield "count and write results", measure(lambda: files.put_results(again, records(rows)))


def main() -> None:
    """Print a table."""
    found = {rows: dict(steps(rows)) for rows in SIZES}
    print("| step | " + " | ".join(f"{rows:,} rows" for rows in SIZES) + " |")
    print("| --- |" + " ---: |" * len(SIZES))
    for name in found[SIZES[0]]:
        cells = [f"{it.seconds:.2f} s, {it.megabytes:.0f} MB" for it in (found[rows][name] for rows in SIZES)]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
