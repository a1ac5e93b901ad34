"""What a deployment's parts are called."""

from dataclasses import dataclass
from pathlib import Path

from darkroom.runtime_stacks import stack_name


@dataclass(frozen=True)
class Names:
    """The names of a deployment's parts.

    Attributes:
        deployment: `stackName` of config.yaml.
        region: where it is.
    """

    deployment: str
    region: str

    @property
    def control_plane(self) -> str:
        """The stack that `darkroom verify` asks for the API: `sdoneksStack`."""
        return f"{self.deployment}Stack"

    @property
    def cluster(self) -> str:
        """The EKS cluster."""
        return self.control_plane

    @property
    def folder(self) -> Path:
        """Where the deployment's files are, in the folder from which it is deployed."""
        return Path(".darkroom") / self.deployment

    @property
    def kubeconfig(self) -> str:
        """How helm and kubectl reach the cluster. The user's own file, and what it points to, stay as they are."""
        return str(self.folder / "kubeconfig")

    @property
    def cluster_stack(self) -> str:
        """The stack of network and cluster."""
        return f"{self.control_plane}-cluster"

    @property
    def operations_stack(self) -> str:
        """The stack of what looks after snapshots and volumes."""
        return f"{self.control_plane}-operations"

    def runtime_stack(self, runtime: str) -> str:
        """The stack of one runtime."""
        return stack_name(self.control_plane, runtime)

    def registration(self, runtime: str) -> str:
        """A runtime's entry in the parameter store."""
        return f"/{self.control_plane}/runtimes/{runtime}"

    def model_bucket(self, account: str) -> str:
        """The bucket that is made where none is given."""
        return f"{self.deployment}-model-bucket-{account}-{self.region}".lower()

    def owns_bucket(self, bucket: str) -> bool:
        """Whether the bucket is one that was, or would be, made for this deployment."""
        return bucket.startswith(f"{self.deployment}-model-bucket-".lower())

    @property
    def in_china(self) -> bool:
        """Whether Hugging Face and GitHub are hard to reach from there."""
        return self.region.startswith("cn-")

    @property
    def partition(self) -> str:
        """The ARNs' second part."""
        return "aws-cn" if self.in_china else "aws-us-gov" if self.region.startswith("us-gov-") else "aws"
