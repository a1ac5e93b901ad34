"""`darkroom verify` against a whole cloud."""

import asyncio
from collections.abc import Iterator

import pytest
from tests.e2e.users import User

from darkroom_cli.access import Access, AwsAccess
from darkroom_cli.client import Client
from darkroom_cli.deploy.verification import Outcome, Probe, Verification, choose_runtime, probes

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


def access(user: User) -> Access:
    stack = user.cloud.stack
    session = {**stack.administrator, "region_name": stack.region}
    return Access(user.cloud.api_url, user.cloud.api_key, aws=AwsAccess(stack.name, session, stack.endpoint_url))


def verify(user: User, name: str | None) -> Iterator[Outcome]:
    """As the command does."""
    found = access(user)
    with Client(found.url, found.api_key) as client:
        runtime = choose_runtime(client, name)
    return Verification(found, runtime.name, timeout=60).run(probes(runtime.type, runtime))


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        pytest.param(None, ["text to image", "image to image", "upscaling"], id="the default runtime"),
        pytest.param("comfy", ["pipeline"], id="a ComfyUI runtime beside it"),
    ],
)
async def test_the_guides_requests_bring_images(user: User, name: str | None, titles: list[str]) -> None:
    outcomes = await asyncio.to_thread(lambda: list(verify(user, name)))
    assert titles == [outcome.probe.title for outcome in outcomes]
    assert all(outcome.ok and outcome.images for outcome in outcomes), outcomes


async def test_what_is_refused_is_told(user: User) -> None:
    verification = Verification(access(user), "sdruntime", timeout=60)
    alien = Probe("pipeline", "pipeline", "pipeline", {"1": {"class_type": "SaveImage", "inputs": {}}})
    (outcome,) = await asyncio.to_thread(lambda: list(verification.run((alien,))))
    assert not outcome.ok
    assert outcome.detail.startswith("400")
    assert "does extra-batch-images" in outcome.detail
