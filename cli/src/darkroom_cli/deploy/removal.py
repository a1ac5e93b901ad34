"""The steps that remove a deployment: what the guide says is removed, and nothing that it keeps."""

from collections.abc import Iterable, Iterator

from darkroom_cli.deploy.commands import Command, Step, command, reach_cluster, read_output
from darkroom_cli.deploy.components import Component
from darkroom_cli.deploy.names import Names

REMOVED = (
    "the EKS cluster and all its nodes",
    "the SNS topics and all subscriptions",
    "the SQS queues",
    "the VPC",
    "the IAM roles",
    "the API, its keys, and the table of tasks",
)
KEPT = (
    "the bucket of images",
    "the bucket of models",
    "snapshots of images",
    "the agent's image in ECR",
    "webhooks' secrets in the parameter store",
)


class Removal:
    """Removes a deployment.

    Runtimes go first, while Karpenter is there to end their instances; the network goes last.
    """

    def __init__(self, names: Names, components: Iterable[Component], runtimes: Iterable[tuple[str, str]]) -> None:
        """`runtimes` are names and namespaces."""
        self._names = names
        self._components = list(components)
        self._runtimes = list(runtimes)

    def steps(self) -> Iterator[Step]:
        """Everything, in order. Each step is safe to repeat."""
        names = self._names
        yield self._reach()
        for name, namespace in self._runtimes:
            yield self._uninstall(name, namespace)
        if self._runtimes:  # else Karpenter may never have come so far
            yield self._wait("darkroom/runtime")
        for name, _ in self._runtimes:
            yield self._delete(names.runtime_stack(name), f"Delete the queue of {name}")
        yield self._delete(names.control_plane, "Delete the control plane")
        for component in reversed(self._components):
            yield self._uninstall(component.name, component.namespace)
        yield self._delete(names.operations_stack, "Delete the state machines of operations")
        yield self._delete(names.cluster_stack, "Delete cluster and network")

    def runtime_steps(self) -> Iterator[Step]:
        """The runtimes only."""
        yield self._reach()
        for name, namespace in self._runtimes:
            yield self._uninstall(name, namespace)
            yield self._wait(f"darkroom/runtime={name}")
            yield self._delete(self._names.runtime_stack(name), f"Delete the queue of {name}")

    def _reach(self) -> Step:
        names = self._names
        role = read_output(names.region, names.cluster_stack, "AccessRoleArn", "ACCESS_ROLE")
        cluster = read_output(names.region, names.cluster_stack, "ClusterName", "CLUSTER_NAME")
        return Step("Reach the cluster", (cluster, role, reach_cluster(names)), unless=self._no_cluster())

    def _wait(self, selector: str) -> Step:
        names = self._names
        return Step(
            "Wait until their instances have ended",
            (
                command(
                    *("kubectl", "--kubeconfig", names.kubeconfig),
                    *("wait", "--for=delete", "nodeclaims.karpenter.sh"),
                    *("--selector", selector, "--timeout", "30m"),
                ),
            ),
            unless=self._no_cluster(),
            note="Karpenter lets them finish their tasks, and must be there to end them.",
        )

    def _gone(self, stack: str) -> Command:
        """Succeeds where CloudFormation says that there is no such stack, and not where it cannot be asked."""
        ask = 'aws cloudformation describe-stacks --region "$0" --stack-name "$1" 2>&1 | grep -q "does not exist"'
        return command("bash", "-c", ask, self._names.region, stack)

    def _no_cluster(self) -> Command:
        """Succeeds where the cluster's stack is not there, or was never done: then nothing was installed in it."""
        query = "Stacks[0].Outputs[?OutputKey==`ClusterName`].OutputValue"
        ask = (
            'told=$(aws cloudformation describe-stacks --region "$0" --stack-name "$1" --query "$2"'
            ' --output text 2>&1); [[ -z $told || $told == None || $told == *"does not exist"* ]]'
        )
        return command("bash", "-c", ask, self._names.region, self._names.cluster_stack, query)

    def _uninstall(self, release: str, namespace: str) -> Step:
        return Step(
            f"Uninstall {release}",
            (
                command(
                    *("helm", "uninstall", release, "--kubeconfig", self._names.kubeconfig),
                    *("--namespace", namespace, "--ignore-not-found", "--wait", "--timeout", "20m"),
                ),
            ),
            unless=self._no_cluster(),
        )

    def _delete(self, stack: str, title: str) -> Step:
        where = ("--region", self._names.region, "--stack-name", stack)
        return Step(
            title,
            (
                command("aws", "cloudformation", "delete-stack", *where),
                command("aws", "cloudformation", "wait", "stack-delete-complete", *where),
            ),
            unless=self._gone(stack),
        )
