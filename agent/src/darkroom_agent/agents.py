"""The whole agent, put together."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import boto3
from botocore.config import Config

from darkroom.aws.task_store import DynamoTaskStore
from darkroom_agent import metrics
from darkroom_agent.blobs import LeanBlobStore
from darkroom_agent.deletion_costs import DeletionCosts
from darkroom_agent.deliveries import Deliveries
from darkroom_agent.downloads import TRIES, DownloadLimits, Downloads
from darkroom_agent.drains import Drain
from darkroom_agent.flags import cancel
from darkroom_agent.health import Health
from darkroom_agent.inputs import InputLimits, Inputs
from darkroom_agent.intake import Intake
from darkroom_agent.interruptions import Interruptions
from darkroom_agent.leases import Custody
from darkroom_agent.logs import EventLog
from darkroom_agent.outputs import OutputStore
from darkroom_agent.pace import Pace
from darkroom_agent.previews import Previews
from darkroom_agent.queues import SqsInbox, SqsResultQueue
from darkroom_agent.readiness import Readiness
from darkroom_agent.runs import RunLimits, Runs
from darkroom_agent.runtimes import RuntimeConfig, input_rules, load
from darkroom_agent.settings import AgentSettings
from darkroom_agent.threads import SIZE, Threads
from darkroom_agent.traces import Traces, load_traces
from darkroom_agent.worker import Schedule, Stages, Worker

log = EventLog(__name__)


def aws_config(read_timeout: float) -> Config:
    """How to speak to AWS: soon aware of a dead connection, so that a lease outlives some of them.

    A pod's processor has better to do: what is sent is typed, and checked by AWS; and botocore puts a user agent of
    its own together anew, twice for each request.
    """
    return Config(
        user_agent="darkroom-agent",
        parameter_validation=False,
        connect_timeout=3,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=SIZE,
        tcp_keepalive=True,
    )


class Agent:
    """One agent beside one runtime."""

    def __init__(self, settings: AgentSettings) -> None:
        self.drain = Drain(settings.drain_seconds)
        self.health = Health(self.drain)
        self._settings = settings
        self._runtime = load(
            settings.runtime_type,
            RuntimeConfig(
                url=settings.runtime_url,
                model=settings.model,
                dynamic_model=settings.dynamic_model,
                load_timeout=settings.startup_timeout_seconds,
            ),
        )
        # a hung runtime is found before its run is too long: the task is not at fault
        self._stall = min(settings.stall_seconds, settings.run_timeout_seconds / 2)
        self._readiness = Readiness(
            self._runtime, self.health, self.drain, settings.startup_timeout_seconds, self._stall
        )

    async def run(self) -> None:
        """Wait for the runtime, then work until drained.

        Raises:
            RuntimeNotReadyError: the runtime did not become ready in time.
            ExceptionGroup: a part of the agent broke.
        """
        settings = self._settings
        log.info("agent_started", runtime=settings.runtime_name, type=settings.runtime_type)
        threads = Threads()
        traces = load_traces(settings.otlp_endpoint, settings.runtime_name)
        await self.health.serve(settings.health_port)
        try:
            async with self._beside():
                await self._readiness.wait()
                await self._work(threads, traces)
                # after a notice only: to end now would have us started again, on a machine that goes away
                await self.drain.told.wait()
        finally:
            threads.close()
            await asyncio.to_thread(traces.close)
            await self._runtime.close()
            await self.health.close()

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[None]:
        """Do what does not decide about tasks, as long as the context lasts."""
        started = [asyncio.create_task(work, name=name) for name, work in self._duties()]
        try:
            yield
        finally:
            await cancel(*started)

    def _duties(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        settings = self._settings
        if settings.watch_interruptions:
            yield "watch interruptions", Interruptions(settings.metadata_url, self.drain).watch()
        if settings.publish_deletion_cost:
            costs = DeletionCosts(
                settings.kubernetes_url, settings.service_account, settings.pod_name, metrics.is_busy
            )
            yield "publish deletion cost", costs.publish()

    async def _work(self, threads: Threads, traces: Traces) -> None:
        settings = self._settings
        session = boto3.Session()  # one set of credentials for all clients
        sqs = session.client("sqs", config=aws_config(settings.poll_seconds + 10))
        blobs = LeanBlobStore(session, session.client("s3", config=aws_config(30)))
        store = DynamoTaskStore(session.client("dynamodb", config=aws_config(5)), settings.tasks_table)
        inbox = SqsInbox(sqs, settings.queue_url, settings.priority_queue_url)
        custody = Custody(store, inbox, threads, settings.lease_seconds, settings.heartbeat_seconds, traces)
        results = SqsResultQueue(sqs, settings.results_queue_url)
        pace = Pace()
        previews = Previews(self._runtime, blobs, threads, settings.output_bucket, settings.preview_seconds)
        outputs = OutputStore(blobs, threads)
        limits = RunLimits(settings.run_timeout_seconds, self._stall)
        async with Downloads(blobs, threads, self._download_limits()) as downloads:
            inputs = Inputs(
                blobs,
                threads,
                downloads,
                InputLimits(settings.input_max_count, TRIES * settings.input_timeout_seconds),
                input_rules(self._runtime),
            )
            stages = Stages(
                Intake(custody, settings.runtime_name),
                inputs,
                Runs(self._readiness, limits, self.drain, pace, previews),
                Deliveries(outputs, results, threads, self.drain, self._readiness),
            )
            schedule = Schedule(pace, self.drain, settings.poll_seconds, settings.prefetch)
            try:
                await Worker(stages, custody, schedule, self._readiness).run()
            finally:
                outputs.close()

    def _download_limits(self) -> DownloadLimits:
        settings = self._settings
        return DownloadLimits(
            max_bytes=settings.input_max_bytes,
            seconds=settings.input_timeout_seconds,
            buckets=frozenset({settings.output_bucket, *settings.input_buckets}),
            networks=settings.allowed_networks,
            cache_bytes=settings.input_cache_bytes,
        )
