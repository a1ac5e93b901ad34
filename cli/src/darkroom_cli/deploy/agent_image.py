"""The agent's image: built from this repository, and kept in the account's registry."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from darkroom_cli.deploy.commands import Step, command, variable
from darkroom_cli.deploy.names import Names

_SOURCES = (
    "agent/Dockerfile",
    "agent/*.txt",
    "agent/pyproject.toml",
    "agent/src/**/*.py",
    "layers/darkroom/**/*.py",
)


@dataclass(frozen=True)
class AgentImage:
    """Where the image is, and how it gets there.

    Attributes:
        source: this repository.
    """

    names: Names
    source: Path

    @property
    def tag(self) -> str:
        """A tag that is another one whenever the sources are: nodes and snapshots keep what a tag once was."""
        digest = hashlib.sha256()
        for path in sorted({path for pattern in _SOURCES for path in self.source.glob(pattern)}):
            digest.update(path.relative_to(self.source).as_posix().encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def name(self) -> str:
        """The repository's name in the registry."""
        return f"{self.names.deployment}/queue-agent".lower()

    @property
    def registry(self) -> str:
        """The account's registry."""
        suffix = "amazonaws.com.cn" if self.names.in_china else "amazonaws.com"
        return f"{variable('ACCOUNT')}.dkr.ecr.{self.names.region}.{suffix}"

    @property
    def repository(self) -> str:
        """The image, without its tag."""
        return f"{self.registry}/{self.name}"

    def steps(self) -> list[Step]:
        """Builds it, unless the registry has it."""
        ecr = ("--region", self.names.region, "--repository-name", self.name)
        image = f"{self.repository}:{self.tag}"
        login = 'aws ecr get-login-password --region "$0" | docker login --username AWS --password-stdin "$1"'
        ask = ("aws", "sts", "get-caller-identity", "--region", self.names.region)
        return [
            Step(
                "Find the account",
                (command(*ask, "--query", "Account", "--output", "text", into="ACCOUNT"),),
            ),
            Step(
                "Make a repository for the agent's image",
                (command("aws", "ecr", "create-repository", *ecr, "--image-tag-mutability", "IMMUTABLE"),),
                unless=command(
                    "aws",
                    "ecr",
                    "describe-repositories",
                    "--region",
                    self.names.region,
                    "--repository-names",
                    self.name,
                ),
            ),
            Step(
                "Build the agent's image",
                (
                    command("bash", "-c", f"set -o pipefail; {login}", self.names.region, self.registry),
                    command(
                        *("docker", "build", "--platform", "linux/amd64", "--tag", image),
                        *("--file", str(self.source / "agent/Dockerfile"), str(self.source)),
                    ),
                    command("docker", "push", image),
                ),
                unless=command("aws", "ecr", "describe-images", *ecr, "--image-ids", f"imageTag={self.tag}"),
            ),
        ]
