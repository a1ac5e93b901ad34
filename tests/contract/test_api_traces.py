"""The API function's traces, as an X-Ray daemon on loopback gets them."""

import json
import re
import socket
import subprocess
import sys
from typing import Any

import pytest
from bench.api.inprocess import ROOT

from darkroom_local.aws.process import run_aws

LEFT_OUT, KEPT = "1-6976a4b0-0123456789abcdef01234567", "1-6976a4b1-0123456789abcdef01234567"
SUBMITS = """
import os, sys
from bench.api.inprocess import run_api

with run_api(sys.argv[1]) as api:
    form = {"runtime": "sdruntime", "type": "text-to-image", "content": {"prompt": "A dog"}}
    for header in sys.argv[2:]:
        os.environ["_X_AMZN_TRACE_ID"] = header
        print(api.call("POST", "/v1/tasks", form).status, "aws_xray_sdk" in sys.modules)
"""


def test_requests_that_are_sampled_are_traced_with_their_calls_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_aws() as url, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        host, port = daemon.getsockname()
        monkeypatch.setenv("LAMBDA_TASK_ROOT", str(ROOT))
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"{host}:{port}")
        headers = [
            f"Root={LEFT_OUT};Parent=53995c3f42cd8ad8;Sampled=0",
            f"Root={KEPT};Parent=53995c3f42cd8ad8;Sampled=1",
        ]

        command = [sys.executable, "-c", SUBMITS, url, *headers]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  our own
        assert re.findall("^202.*", run.stdout, re.MULTILINE) == ["202 False", "202 True"], run.stderr
        segments: list[dict[str, Any]] = []
        while not segments or segments[-1]["name"] != "## handler":
            segments.append(json.loads(daemon.recv(65_536).partition(b"\n")[2]))

    *_, put, whole = segments
    assert {segment["trace_id"] for segment in segments} == {KEPT}
    assert (put["name"], put["aws"]["operation"], put["parent_id"]) == ("dynamodb", "PutItem", whole["id"])
    assert whole["parent_id"] == "53995c3f42cd8ad8"
    assert whole["annotations"] == {"ColdStart": True, "Service": "darkroom"}
