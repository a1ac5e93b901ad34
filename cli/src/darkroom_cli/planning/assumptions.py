"""What the world around the autoscalers is assumed to do. Replace each by what you measure."""

from pydantic import BaseModel, ConfigDict, Field


class Assumptions(BaseModel):
    """Times in seconds, sizes in GiB, rates in GiB a second.

    Attributes:
        dispatch: from the API's answer until the message is in the queue.
        task: of the GPU's work on one task, its average.
        spread: how far tasks differ from it: evenly up to this share of it, either way.
        upload: from the end of a task's work until its image is announced; the GPU works on meanwhile.
        hand_over: between two tasks of one pod; agents fetch the next before the last one ends.
        sync: the HPA's period (kube-controller-manager's --horizontal-pod-autoscaler-sync-period).
        tolerance: the HPA's, where the values give none (--horizontal-pod-autoscaler-tolerance).
        batch: for which Karpenter collects pods before it asks for nodes (BATCH_IDLE_DURATION).
        node: from Karpenter's request until the node is ready: EC2 starts it, Bottlerocket boots, it joins.
        image: compressed size of what a pod pulls.
        pull: at which images are pulled and unpacked.
        lazy: what containers' start takes longer on a volume out of a snapshot, which is read on first use.
        start: of the runtime's program until it loads a model.
        model: size of the model.
        load: at which it comes from S3 through Mountpoint onto the GPU.
        warm: what of starting and loading remains for a pod on a node that had one before.
        gpu_price: US dollars an hour of a node.
        minimum_billed: seconds that EC2 bills at least.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dispatch: float = Field(default=0.5, ge=0)
    task: float = Field(default=1.5, gt=0)
    spread: float = Field(default=0.0, ge=0, le=1)
    upload: float = Field(default=0.3, ge=0)
    hand_over: float = Field(default=0.02, ge=0)
    sync: float = Field(default=15.0, gt=0)
    tolerance: float = Field(default=0.1, ge=0)
    batch: float = Field(default=1.0, ge=0)
    node: float = Field(default=45.0, ge=0)
    image: float = Field(default=8.0, ge=0)
    pull: float = Field(default=0.06, gt=0)
    lazy: float = Field(default=12.0, ge=0)
    start: float = Field(default=15.0, ge=0)
    model: float = Field(default=4.0, ge=0)
    load: float = Field(default=0.4, gt=0)
    warm: float = Field(default=0.6, ge=0, le=1)
    gpu_price: float = Field(default=0.4968, ge=0)
    minimum_billed: float = Field(default=60.0, ge=0)

    def image_seconds(self, *, cached: bool) -> float:
        """How long a new node takes until its containers can start."""
        return self.lazy if cached else self.image / self.pull

    def start_seconds(self, *, warm: bool) -> float:
        """How long a runtime takes from its start until it takes tasks."""
        whole = self.start + self.model / self.load
        return whole * self.warm if warm else whole
