"""`darkroom verify` against a whole cloud."""

import asyncio

import pytest
from tests.e2e.users import User

from darkroom_cli.access import Access, AwsAccess
from darkroom_cli.deploy.verification import Verification, probes

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


def access(user: User) -> Access:
    stack = user.cloud.stack
    session = {**stack.administrator, "region_name": stack.region}
    return Access(user.cloud.api_url, user.cloud.api_key, aws=AwsAccess(stack.name, session, stack.endpoint_url))


async def test_the_guides_requests_bring_images(user: User) -> None:
    verification = Verification(access(user), "sdruntime", timeout=60)
    outcomes = await asyncio.to_thread(lambda: list(verification.run(probes("sdwebui", ""))))
    assert ["text to image", "image to image", "upscaling"] == [outcome.probe.title for outcome in outcomes]
    assert all(outcome.ok for outcome in outcomes), outcomes


async def test_what_is_refused_is_told_and_the_rest_is_waited_for(user: User) -> None:
    verification = Verification(access(user), "sdruntime", timeout=60)
    (outcome,) = await asyncio.to_thread(lambda: list(verification.run(probes("comfyui", ""))))
    assert not outcome.ok
    assert "422" in outcome.detail or "400" in outcome.detail
