"""The environment of the functions, read once and typed. Nothing else reads `os.environ`."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from darkroom.addresses import Network

PREFIX = "DARKROOM_"


def split_list(text: object) -> object:
    """The parts of a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


Networks = Annotated[tuple[Network, ...], BeforeValidator(split_list)]


class SettingsError(Exception):
    """The environment lacks a variable, or one has a value of the wrong kind."""


class Settings(BaseModel):
    """A group of settings: field `tasks_table` is the variable `DARKROOM_TASKS_TABLE`."""

    model_config = ConfigDict(frozen=True, defer_build=True)  # a function uses one group only

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings.

        Raises:
            SettingsError: variables are missing or wrong; all are named.
        """
        names = {field: PREFIX + field.upper() for field in cls.model_fields}
        values = {field: environment[name] for field, name in names.items() if environment.get(name)}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = [f"{names[str(fault['loc'][0])]}: {fault['msg']}" for fault in error.errors()]
            raise SettingsError("; ".join(faults)) from error


def trace_is_sampled() -> bool:
    """Whether X-Ray keeps the trace of the invocation under way (Lambda sets the variable before each)."""
    return "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "")


class TableSettings(Settings):
    """Where the tasks are."""

    tasks_table: str


class ApiSettings(TableSettings):
    """What the API needs."""

    output_bucket: str
    runtimes_path: str
    task_deadline_seconds: int
    operator_key_id: str = ""
    deliveries_table: str
    webhook_secrets_path: str
    webhook_allowed_networks: Networks = ()

    @property
    def task_deadline(self) -> timedelta:
        """How long an accepted task may take."""
        return timedelta(seconds=self.task_deadline_seconds)


class RouterSettings(Settings):
    """What the router needs."""

    tasks_topic_arn: str
    completions_topic_arn: str
    event_bus: str
    announcements_table: str
    failures_queue_url: str
    webhooks_queue_url: str


class WebhookSettings(Settings):
    """What sends webhooks needs.

    Attributes:
        webhook_allowed_networks: networks that may be posted to although they are not public; comma-separated.
    """

    webhooks_queue_url: str
    webhook_failures_queue_url: str
    webhook_secrets_path: str
    webhook_allowed_networks: Networks = ()
    deliveries_table: str
    event_bus: str


class SweepSettings(TableSettings):
    """What the sweeper needs."""

    lapse_seconds: int

    @property
    def lapse(self) -> timedelta:
        """How long after its lease ran out a task's message is given up for lost."""
        return timedelta(seconds=self.lapse_seconds)


class PipelineSettings(TableSettings):
    """What runs pipelines needs."""

    pipelines_table: str
    output_bucket: str
    runtimes_path: str
    task_deadline_seconds: int


class PipelineEndSettings(TableSettings):
    """What ends pipelines and tells of them needs."""

    pipelines_table: str
    output_bucket: str
    event_bus: str
    webhooks_queue_url: str
    run_task_arn: str


class PipelineApiSettings(PipelineSettings):
    """What the API needs to run pipelines."""

    pipeline_state_machine_arn: str


class BatchSettings(PipelineSettings):
    """What runs batches needs."""

    batch_state_machine_arn: str
    webhook_allowed_networks: Networks = ()

    @property
    def task_deadline(self) -> timedelta:
        """How long an accepted task may take."""
        return timedelta(seconds=self.task_deadline_seconds)


class BatchApiSettings(PipelineSettings):
    """What the API needs to run batches.

    Attributes:
        input_buckets: ARNs of the buckets, beside the output bucket, where manifests may lie; comma-separated.
    """

    batch_state_machine_arn: str
    input_buckets: Annotated[tuple[str, ...], BeforeValidator(split_list)] = ()

    @property
    def input_bucket_names(self) -> frozenset[str]:
        """The buckets' names."""
        return frozenset(arn.rpartition(":")[2] for arn in self.input_buckets)


class BatchAnnouncementSettings(Settings):
    """What tells of batches needs."""

    event_bus: str
    webhooks_queue_url: str
