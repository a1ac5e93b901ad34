"""Small functions for the local cloud's tests; each misbehaves in one way."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol


class Context(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


Event = dict[str, Any]


def echo(event: Event, context: Context) -> Event:
    del context
    return event


def show_environment(event: Event, context: Context) -> dict[str, str]:
    del event, context
    return dict(os.environ)  # noqa: TID251 - showing it is what this is for


def show_process(event: Event, context: Context) -> Event:
    time.sleep(event.get("seconds", 0))
    return {"pid": os.getpid(), "folder": str(Path.cwd()), "left": context.get_remaining_time_in_millis()}


def sleep(event: Event, context: Context) -> None:
    del context
    print(f"pid {os.getpid()}")
    time.sleep(event["seconds"])
    Path(event["done"]).touch()


def speak(event: Event, context: Context) -> None:
    del event, context
    print("to stdout")
    print("to stderr", file=sys.stderr)


def fail(event: Event, context: Context) -> None:
    """Fails as often as the event says, counting in a file."""
    del context
    tries = Path(event["tries"])
    with tries.open("a") as file:
        file.write("x")
    if len(tries.read_text()) <= event["failures"]:
        raise ValueError("no luck")


def crash(event: Event, context: Context) -> Event:
    del context
    if "status" in event:
        os._exit(event["status"])
    return event


def hoard(event: Event, context: Context) -> None:
    del event, context
    hoarded = []
    while True:
        hoarded.append(b"x" * 1_000_000)
        time.sleep(0.001)


def answer_at_length(event: Event, context: Context) -> Event:
    del context
    return {"text": "x" * int(event["bytes"])}


def leave_child(event: Event, context: Context) -> Event:
    del event, context
    return {"pid": subprocess.Popen(["/bin/sleep", "60"]).pid}


def answer_request(event: Event, context: Context) -> Any:
    """Behind a gateway: does what the request's body says, or shows the request."""
    del context
    body = event["body"] or ""
    if body.startswith("answer:"):
        return json.loads(body.removeprefix("answer:"))
    if body == "fail":
        raise ValueError("no luck")
    if body.startswith("sleep:"):
        time.sleep(float(body.removeprefix("sleep:")))
    return {"statusCode": 200, "body": json.dumps(event)}
