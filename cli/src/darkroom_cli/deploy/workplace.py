"""Where `darkroom deploy` runs: this repository, the region, the files that it writes."""

from dataclasses import dataclass
from pathlib import Path

import boto3

from darkroom_cli.access import AwsAccess
from darkroom_cli.deploy.config import Config
from darkroom_cli.deploy.documents import read_config, write_yaml
from darkroom_cli.deploy.generation import Options, generate, write_config
from darkroom_cli.deploy.names import Names
from darkroom_cli.deploy.plans import Deployment
from darkroom_cli.deploy.template_parameters import check_parameters
from darkroom_cli.errors import UsageError
from darkroom_cli.stacks import explained_aws

_MARK = Path("sam/cluster.yaml")


def find_source() -> Path | None:
    """This repository, seen from the current folder, which lies in it; else None."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / _MARK).is_file():
            return Path(*[".."] * len(here.relative_to(folder).parts))
    return None


@dataclass(frozen=True)
class Workplace:
    """A region, a configuration's file, and the repository.

    Attributes:
        region: as asked for; else that of the AWS profile.
        config_file: config.yaml.
        source: the folder with sam/ and charts/.
    """

    region: str
    config_file: Path
    source: Path

    @classmethod
    def find(cls, region: str | None, config_file: Path) -> "Workplace":
        """Look around.

        Raises:
            UsageError: there is no region, or no repository.
        """
        with explained_aws():
            found = region or boto3.Session().region_name
        if not found:
            raise UsageError("It is not known where to deploy.", hint="Say --region, or set AWS_DEFAULT_REGION.")
        source = find_source()
        if source is None:
            raise UsageError(f"There is no {_MARK} here.", hint="Run this in Darkroom's repository.")
        return cls(found, config_file, source)

    @staticmethod
    def aws_of(region: str | None, stack: str = "") -> AwsAccess:
        """The account, in the region or that of the AWS profile."""
        return AwsAccess(stack, {"region_name": region} if region else {})

    def aws(self, stack: str = "") -> AwsAccess:
        """The account, in the region."""
        return self.aws_of(self.region, stack)

    def account(self) -> str:
        """The account's number.

        Raises:
            AwsError: there are no credentials, or they are not valid.
        """
        with explained_aws():
            return str(self.aws().client("sts").get_caller_identity()["Account"])

    def names(self, stack_name: str | None) -> Names:
        """What the parts of a deployment are called."""
        return Names(stack_name or "sdoneks", self.region)

    def write_new(self, options: Options) -> None:
        """Write a configuration from options.

        Raises:
            AwsError: the bucket of models would be named after the account, which cannot be asked.
        """
        names = self.names(options.stack_name.lower() if options.stack_name else None)  # as the guide's script does
        bucket = options.bucket or names.model_bucket(self.account())
        schema = (self.source / "config.schema.json").as_posix()
        self.config_file.write_text(write_config(generate(options, names, bucket), schema), "utf-8")

    def read(self, options: Options) -> Config:
        """Read the configuration that is there.

        Raises:
            ConfigError: it is wrong.
            UsageError: the options say otherwise than it does.
        """
        config = read_config(self.config_file)
        check_parameters(config, self.source)
        runtime = config.models_runtime[0]
        says: dict[str, set[str]] = {
            "--stack-name": {config.stack_name, config.stack_name.lower()},
            "--bucket": {config.bucket},
            "--runtime-name": {runtime.name},
            "--runtime-type": {runtime.type},
        }
        for option, value in options.given.items():
            if value not in says.get(option, ()):
                raise UsageError(
                    f"{self.config_file} is there already, and says otherwise than {option} {value}.",
                    hint="Change the file, or name another one with --config.",
                )
        return config

    def deployment(self, config: Config) -> Deployment:
        """What is to be deployed, with the files that its commands name written."""
        deployment = Deployment(config, self.region, self.source, self.names(config.stack_name).folder)
        deployment.folder.mkdir(parents=True, exist_ok=True)
        for release in deployment.releases:
            release.values_file.write_text(write_yaml(release.values()), "utf-8")
        return deployment
