"""The environment."""

from ipaddress import ip_network

import pytest

from darkroom.settings import SettingsError
from darkroom_agent.settings import AgentSettings

LEAST = {
    "DARKROOM_RUNTIME_NAME": "sdruntime",
    "DARKROOM_QUEUE_URL": "https://sqs/queue",
    "DARKROOM_RESULTS_QUEUE_URL": "https://sqs/results",
    "DARKROOM_TASKS_TABLE": "tasks",
    "DARKROOM_OUTPUT_BUCKET": "outputs",
}


def test_little_is_needed_and_the_rest_has_defaults() -> None:
    settings = AgentSettings.from_environment(LEAST)
    assert ("sdwebui", 60, True, ()) == (
        settings.runtime_type,
        settings.lease_seconds,
        settings.prefetch,
        settings.allowed_networks,
    )


def test_every_missing_variable_is_named() -> None:
    with pytest.raises(SettingsError, match=r"DARKROOM_RUNTIME_NAME.*DARKROOM_QUEUE_URL.*DARKROOM_TASKS_TABLE"):
        AgentSettings.from_environment({})


def test_lists_are_separated_by_commas() -> None:
    settings = AgentSettings.from_environment(
        LEAST
        | {
            "DARKROOM_INPUT_BUCKETS": "one, arn:aws-cn:s3:::two,",
            "DARKROOM_ALLOWED_NETWORKS": "127.0.0.0/8,fd00::/8",
        }
    )
    assert ("one", "two") == settings.input_buckets
    assert (ip_network("127.0.0.0/8"), ip_network("fd00::/8")) == settings.allowed_networks


def test_the_names_of_earlier_agents_still_work_but_ours_win() -> None:
    old = {
        "SQS_QUEUE_URL": "https://sqs/old",
        "S3_BUCKET": "old",
        "RUNTIME_TYPE": "comfyui",
        "API_BASE_URL": "http://127.0.0.1:8188",
        "DYNAMIC_SD_MODEL": "true",
        "SNS_TOPIC_ARN": "arn:aws:sns:eu-west-1:1:topic",
    }
    least = LEAST | {"DARKROOM_OUTPUT_BUCKET": ""}
    settings = AgentSettings.from_environment(old | least)
    assert ("https://sqs/queue", "old", "comfyui", "http://127.0.0.1:8188", True) == (
        settings.queue_url,
        settings.output_bucket,
        settings.runtime_type,
        settings.runtime_url,
        settings.dynamic_model,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_SECONDS", "0"),
        ("HEALTH_PORT", "70000"),
        ("ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("PREFETCH", "perhaps"),
        ("POLL_SECONDS", "21"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"DARKROOM_{name}"):
        AgentSettings.from_environment(LEAST | {f"DARKROOM_{name}": value})
