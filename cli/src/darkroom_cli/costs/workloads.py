"""What a month is assumed to bring: the parameters of an estimate, each with its reason."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

D = Decimal


class Workload(BaseModel):
    """A month. The defaults of the first group are the guide's, so that the two figures can be compared.

    Attributes:
        images: how many; one a task.
        seconds_per_image: of the GPU's time.
        gpu_price: US dollars an hour of a spot node; None for that of the price list.
        on_demand_share: of the GPU hours that are not spot, 0 to 1.
        gpu_busy: the share of its nodes' time that the GPU works; the guide takes all of it. `darkroom plan` tells.
        image_kb: an image's size in KiB; kept for a month.
        hours: of a month.
        component_nodes: nodes that run KEDA, Karpenter and the like.
        own_network: whether the VPC with its three NAT gateways is this deployment's.
        node_hours: how long a GPU node lives on average; its volume is fast for the first 300 s.
        volume_gib: of a GPU node's data volume.
        volume_throughput: with which it starts, in MiB/s; 125 are free.
        volume_iops: likewise; 3,000 are free.
        cache_gib: what of the image cache is stored.
        task_kb: a task's record in DynamoDB, KiB.
        message_kb: what an agent and SQS say to each other about one task, KiB; it goes through the NAT gateways.
        callback_kb: what SNS sends out for one task, KiB.
        log_kb: what functions and agent log about one task, KiB.
        traced: the share of requests that X-Ray samples: the first of each second and 5 % of the others, which is
            all of them where a month's requests come evenly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(default=1_000_000, ge=0)
    seconds_per_image: Decimal = Field(default=D("1.5"), gt=0)
    gpu_price: Decimal | None = Field(default=None, ge=0)
    on_demand_share: Decimal = Field(default=D(0), ge=0, le=1)
    gpu_busy: Decimal = Field(default=D(1), gt=0, le=1)
    image_kb: Decimal = Field(default=D(150), ge=0)
    hours: Decimal = Field(default=D(720), gt=0)
    component_nodes: int = Field(default=2, ge=0)

    own_network: bool = True
    node_hours: Decimal = Field(default=D(1), gt=0)
    volume_gib: Decimal = Field(default=D(80), ge=0)
    volume_throughput: Decimal = Field(default=D(1000), ge=125)
    volume_iops: Decimal = Field(default=D(4000), ge=3000)
    cache_gib: Decimal = Field(default=D(15), ge=0)
    task_kb: Decimal = Field(default=D("1.5"), gt=0)
    message_kb: Decimal = Field(default=D(8), ge=0)
    callback_kb: Decimal = Field(default=D(1), ge=0)
    log_kb: Decimal = Field(default=D("1.5"), ge=0)
    traced: Decimal = Field(default=D(1), ge=0, le=1)

    @property
    def gpu_hours(self) -> Decimal:
        """Hours of GPU nodes."""
        return self.images * self.seconds_per_image / 3600 / self.gpu_busy

    def gigabytes(self, kb: Decimal) -> Decimal:
        """What so many KiB an image are together, in GiB, as the guide counts."""
        return self.images * kb / (1024 * 1024)
