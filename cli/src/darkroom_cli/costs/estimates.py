"""This design's month: how much of what the parts use, counted from the template and the code.

Counts are for one task that makes one image, on the usual way: accepted, queued, claimed, run, reported, announced.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

from darkroom_cli.costs.prices import PriceList
from darkroom_cli.costs.workloads import Workload

D = Decimal

WRITES_OF_RECORD = 3
"""Of a task's record: submitted, claimed, ended. A task shorter than a heartbeat (4 s) gets none."""

WRITES_OF_INDEX = 4
"""Of its entry in the index of open tasks (1 KiB at most): put, moved (a delete and a put), deleted."""

WRITES_OF_ANNOUNCEMENT = 2
"""Begun and done: so an end is told once (decision 0005)."""

STREAM_RECORDS_A_BATCH = D(10)
REPORTS_A_BATCH = D(5)
_FAST_SECONDS = D(300)
_NAT_GATEWAYS = 3


@dataclass(frozen=True)
class Line:
    """What one thing costs in a month, in US dollars, not rounded.

    `counted` tells whether the guide's table counts this kind of thing too; what it leaves out, its deployment
    pays as well (network, volumes, logs) or does not have (tables, events).
    """

    service: str
    what: str
    quantity: Decimal
    unit: str
    usd: Decimal
    varies: bool
    counted: bool = True


class Estimate:
    """A month's lines for a workload."""

    def __init__(self, workload: Workload, prices: PriceList) -> None:
        self._load = workload
        self._prices = prices.prices

    @property
    def lines(self) -> tuple[Line, ...]:
        """All of them, those that the guide counts too first."""
        parts = (self._compute(), self._messages(), self._images(), self._records(), self._volumes())
        lines = chain(*parts, self._network(), self._watching())
        return tuple(
            sorted((line for line in lines if line.usd), key=lambda line: (not line.counted, line.service))
        )

    def _line(
        self, service: str, price: str, quantity: Decimal, *, varies: bool = True, counted: bool = False
    ) -> Line:
        found = self._prices[price]
        return Line(service, found.what, quantity, found.per, found.of(quantity), varies, counted)

    def _compute(self) -> Iterator[Line]:
        load = self._load
        spot = load.gpu_hours * (1 - load.on_demand_share)
        if load.gpu_price is None:
            yield self._line("Amazon EC2", "gpu-spot", spot, counted=True)
        else:
            yield Line(
                "Amazon EC2", "GPU nodes, spot, price given", spot, "hour", spot * load.gpu_price, varies=True
            )
        yield self._line("Amazon EC2", "gpu-on-demand", load.gpu_hours * load.on_demand_share, counted=True)
        nodes = load.hours * load.component_nodes
        yield self._line("Amazon EC2", "component-node", nodes, varies=False, counted=True)
        yield self._line("Amazon EKS", "eks-cluster", load.hours, varies=False, counted=True)

    def _messages(self) -> Iterator[Line]:
        images, minutes = D(self._load.images), self._load.hours * 60
        yield self._line("Amazon API Gateway", "api-requests", images, counted=True)
        batches = 3 / STREAM_RECORDS_A_BATCH + 1 / REPORTS_A_BATCH  # of the router, and of the callbacks
        yield self._line("AWS Lambda", "lambda-requests", images * (1 + batches) + minutes, counted=True)
        seconds = (
            images * D("0.03")  # the API: 1 GB for 30 ms
            + images * 3 / STREAM_RECORDS_A_BATCH * D("0.5") * D("0.2")
            + images / REPORTS_A_BATCH * D("0.5") * D("0.1")
            + minutes * D("0.5") * D("0.5")  # the sweeper, each minute
        )
        yield self._line("AWS Lambda", "lambda-arm", seconds, counted=True)
        yield self._line("Amazon SNS", "sns-requests", images * 2, counted=True)  # the task, and its end
        yield self._line("Amazon SNS", "transfer-out", self._load.gigabytes(self._load.callback_kb), counted=True)
        per_task = 4 + 2 / REPORTS_A_BATCH  # sent, received, deleted; the report sent, and read by batches
        polls = 3 * 15 * minutes  # Lambda asks each of three queues 15 times a minute, empty or not
        yield self._line("Amazon SQS", "sqs-requests", images * per_task + polls, counted=True)
        yield self._line("Amazon EventBridge", "events", images * 3)  # queued, started, succeeded

    def _images(self) -> Iterator[Line]:
        yield self._line(
            "Amazon S3", "s3-puts", D(self._load.images) * 2, counted=True
        )  # the image, and its answer
        yield self._line("Amazon S3", "s3-storage", self._load.gigabytes(self._load.image_kb), counted=True)

    def _records(self) -> Iterator[Line]:
        units = self._load.task_kb.__ceil__()  # a write request unit is up to 1 KiB
        writes = WRITES_OF_RECORD * units + WRITES_OF_INDEX + WRITES_OF_ANNOUNCEMENT
        yield self._line("Amazon DynamoDB", "dynamodb-writes", D(self._load.images * writes))
        stored = self._load.gigabytes(self._load.task_kb)  # for 30 days
        yield self._line("Amazon DynamoDB", "dynamodb-storage", stored)
        yield self._line("Amazon DynamoDB", "dynamodb-recovery", stored)

    def _volumes(self) -> Iterator[Line]:
        load = self._load
        months = load.gpu_hours / load.hours
        fast = min(D(1), _FAST_SECONDS / (load.node_hours * 3600))  # then tune_volumes sets it back
        yield self._line("Amazon EBS", "gp3-storage", months * (load.volume_gib + 10))  # and 10 GiB for the system
        yield self._line("Amazon EBS", "gp3-throughput", months * fast * (load.volume_throughput - 125))
        yield self._line("Amazon EBS", "gp3-iops", months * fast * (load.volume_iops - 3000))
        yield self._line("Amazon EBS", "gp3-storage", D(30 * load.component_nodes), varies=False)
        yield self._line("Amazon EBS", "snapshots", load.cache_gib, varies=False)

    def _network(self) -> Iterator[Line]:
        if not self._load.own_network:
            return
        hours = self._load.hours * _NAT_GATEWAYS
        yield self._line("Amazon VPC", "nat-gateway", hours, varies=False)
        yield self._line("Amazon VPC", "public-address", hours, varies=False)
        yield self._line("Amazon VPC", "nat-data", self._load.gigabytes(self._load.message_kb))

    def _watching(self) -> Iterator[Line]:
        yield self._line("Amazon CloudWatch", "logs", self._load.gigabytes(self._load.log_kb))
        yield self._line("Amazon CloudWatch", "metrics", D(7), varies=False)  # submitted; three each by two ends
        yield self._line("Amazon CloudWatch", "alarms", D(9), varies=False)
        yield self._line("Amazon CloudWatch", "dashboards", D(1), varies=False)
        yield self._line("AWS X-Ray", "traces", self._load.images * self._load.traced)
