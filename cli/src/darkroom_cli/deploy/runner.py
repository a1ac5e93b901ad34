"""Runs steps, one after the other, and tells how it goes."""

import subprocess
import time
from collections import deque
from collections.abc import Iterable
from contextlib import nullcontext

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from darkroom_cli.deploy.commands import Command, Step
from darkroom_cli.errors import ClientError
from darkroom_cli.settings import tool_environment

_TAIL = 20
_WIDEST = 90


class StepError(ClientError):
    """A command failed.

    Attributes:
        step: the step that it belongs to.
        line: the command, as a shell takes it.
        output: the last that it said.
    """

    default_hint = "Mend it and run the same again: what is done is not done twice."

    def __init__(self, step: Step, line: str, output: str) -> None:
        super().__init__(f"{step.title}: this failed:\n  {line}\n{output.strip()}")
        self.step = step
        self.line = line
        self.output = output


class Runner:
    """Runs steps with the real tools. Every step is safe to repeat, so a failed run is repeated from the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._variables: dict[str, str] = {}

    def run(self, steps: Iterable[Step]) -> None:
        """Run them all.

        Raises:
            StepError: a command failed; nothing after it was run.
        """
        todo = list(steps)
        for number, step in enumerate(todo, 1):
            head = f"[{number}/{len(todo)}] {step.title}"
            started = time.monotonic()
            with self._console.status(escape(head)) if self._console.is_terminal else nullcontext() as status:
                done = self._run_step(step, head, status)
            took = f"{time.monotonic() - started:.0f} s" if done else "done already"
            self._console.print(f"[green]✓[/green] {escape(head)} [dim]{took}[/dim]", highlight=False)

    def _run_step(self, step: Step, head: str, status: Status | None) -> bool:
        if step.unless is not None and self._execute(step, step.unless, head, None)[0] == 0:
            return False
        for command in step.commands:
            code, output = self._execute(step, command, head, status)
            if code != 0:
                raise StepError(step, str(command), output)
            if command.into is not None:
                self._variables[command.into] = output.strip()
                if not self._variables[command.into]:
                    raise StepError(step, str(command), f"it should have told {command.into}, and told nothing")
        return True

    def _execute(self, step: Step, command: Command, head: str, status: Status | None) -> tuple[int, str]:
        """Run one command; its exit code and output (what it wrote to stderr only where it failed or is shown)."""
        try:
            process = subprocess.Popen(  # noqa: S603  the commands are ours, and no shell reads them
                command.resolve(self._variables),
                env=tool_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if command.into else subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise StepError(step, str(command), f"{command.argv[0]}: {error.strerror}") from error
        with process:
            if command.into:
                output, complaint = process.communicate()
                return process.returncode, output if process.returncode == 0 else complaint
            tail: deque[str] = deque(maxlen=_TAIL)
            for line in process.stdout or ():
                tail.append(line.rstrip())
                if status is not None and line.strip():
                    status.update(f"{escape(head)} [dim]{escape(line.strip()[:_WIDEST])}[/dim]")
        return process.returncode, "\n".join(tail)
