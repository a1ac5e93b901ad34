"""The agent's environment, read once and typed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field

from darkroom.settings import PREFIX, Networks, Settings, split_list

OLD_NAMES: Mapping[str, str] = {
    "runtime_name": "RUNTIME_NAME",
    "runtime_type": "RUNTIME_TYPE",
    "runtime_url": "API_BASE_URL",
    "queue_url": "SQS_QUEUE_URL",
    "output_bucket": "S3_BUCKET",
    "dynamic_model": "DYNAMIC_SD_MODEL",
}
"""Names of earlier agents, used where ours is absent. `SNS_TOPIC_ARN` needs no successor: the router announces."""

STANDARD_NAMES: Mapping[str, str] = {
    "otlp_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "pod_name": "HOSTNAME",
}
"""Names that others have given to what we need, likewise."""


def _bucket(name: str) -> str:
    return name.rpartition(":::")[2]


Buckets = Annotated[tuple[Annotated[str, AfterValidator(_bucket)], ...], BeforeValidator(split_list)]
Seconds = Annotated[float, Field(gt=0)]


class AgentSettings(Settings):
    """What the agent needs to know. Times are in seconds, sizes in bytes.

    Attributes:
        runtime_name: the runtime whose tasks come through the queue.
        runtime_type: which adapter speaks to it (an entry point of `darkroom.runtimes`).
        model: the checkpoint of a static runtime.
        dynamic_model: whether a task may ask for another checkpoint.
        input_buckets: buckets (names or ARNs), beside the output one, that inputs may come from; comma-separated.
        allowed_networks: networks that inputs may be fetched from although they are not public; comma-separated.
        lease_seconds: how long a task and its message stay ours without a sign of life.
        heartbeat_seconds: how often a held task is looked at: a cancel is noticed within it.
        poll_seconds: how long one request waits for a message. SQS takes up to 20; a drain may have to wait for it.
        drain_seconds: how long after SIGTERM what runs may go on.
        run_timeout_seconds: how long the runtime may work on one task.
        stall_seconds: how long a run may go without progress until the runtime counts as hung.
        startup_timeout_seconds: how long the runtime may take to become ready.
        input_max_bytes: how much one task's links may hold together.
        input_max_count: how many links one task may have.
        input_timeout_seconds: how long one download may take, its retries not counted.
        input_cache_bytes: how much of what was downloaded is kept on disk, for those who link to it again.
        preview_seconds: how often a running task's preview is renewed; 0 for never.
        priority_queue_url: where tasks of high priority overtake the others.
        prefetch: fetch the next task while one runs; off, everything is done in order.
        health_port: where `/healthz`, `/readyz` and `/metrics` answer; 0 for nowhere.
        log_format: `json`, `text`, or `auto`: text on a terminal.
        otlp_endpoint: where traces are sent (OTLP over HTTP); none are made without it.
        watch_interruptions: drain when the instance's metadata service says that a spot instance will go.
        metadata_url: that service.
        publish_deletion_cost: tell Kubernetes whether the pod is busy.
        pod_name: the pod's name; by default its host name, which is the same but where that is cut off.
        kubernetes_url: Kubernetes' API.
        service_account: the folder with the service account's token, certificates and namespace.
    """

    runtime_name: str
    runtime_type: str = "sdwebui"
    runtime_url: str = "http://127.0.0.1:7860"
    queue_url: str
    results_queue_url: str
    tasks_table: str
    output_bucket: str
    model: str | None = None
    dynamic_model: bool = False
    input_buckets: Buckets = ()
    allowed_networks: Networks = ()
    lease_seconds: Seconds = 60
    heartbeat_seconds: Seconds = 4
    poll_seconds: Annotated[int, Field(ge=0, le=20)] = 5
    drain_seconds: Annotated[float, Field(ge=0)] = 20
    run_timeout_seconds: Seconds = 3600
    stall_seconds: Seconds = 900
    startup_timeout_seconds: Seconds = 1800
    input_max_bytes: Annotated[int, Field(gt=0)] = 64 * 1024 * 1024
    input_max_count: Annotated[int, Field(gt=0)] = 32
    input_timeout_seconds: Seconds = 60
    input_cache_bytes: Annotated[int, Field(ge=0)] = 256 * 1024 * 1024
    preview_seconds: Annotated[float, Field(ge=0)] = 5
    priority_queue_url: str | None = None
    prefetch: bool = True
    health_port: Annotated[int, Field(ge=0, le=65535)] = 0
    log_format: Literal["auto", "json", "text"] = "auto"
    otlp_endpoint: str | None = None
    watch_interruptions: bool = False
    metadata_url: str = "http://169.254.169.254"
    publish_deletion_cost: bool = False
    pod_name: str = ""
    kubernetes_url: str = "https://kubernetes.default.svc"
    service_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings, under their old and their standard names too.

        Raises:
            SettingsError: variables are missing or wrong; all are named.
        """
        others = {**STANDARD_NAMES, **OLD_NAMES}
        old = {PREFIX + field.upper(): environment[name] for field, name in others.items() if environment.get(name)}
        present = {name: value for name, value in environment.items() if value}
        return super().from_environment({**old, **present})
