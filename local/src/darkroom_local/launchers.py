"""Where processes are ordered: from one that has imported what they need (`darkroom_local.launcher`)."""

import atexit
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from threading import Lock

from darkroom_local.launcher import NUMBER, Order


class Launcher:
    """Starts processes with modules that are imported once for all of them, with the first order."""

    def __init__(self, modules: Sequence[str]) -> None:
        """It costs nothing before the first order."""
        self._modules = modules
        self._lock = Lock()  # an order goes in two parts
        self._orders: socket.socket | None = None

    def order(self, order: Order, errors: int | None = None) -> tuple[int, int]:
        """Order a process.

        Returns two pipes: its output, and what the launcher tells of it, which is its process id and later its exit
        code (`NUMBER`). The process writes errors to the file `errors`, or to its output.

        Raises:
            OSError: the launcher is gone. The next order starts another.
        """
        (output, theirs), (told, teller) = os.pipe(), os.pipe()
        try:
            self._send(order, [theirs, theirs if errors is None else errors, teller])
        except OSError:
            os.close(output)
            os.close(told)
            raise
        finally:
            os.close(theirs)
            os.close(teller)
        return output, told

    def _send(self, order: Order, files: list[int]) -> None:
        text = json.dumps(asdict(order)).encode()
        with self._lock:
            try:
                self._orders = self._orders or self._start()
                socket.send_fds(self._orders, [NUMBER.pack(len(text))], files)
                self._orders.sendall(text)
            except OSError:
                self._orders = None
                raise

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "darkroom_local.launcher", *self._modules]
        with theirs:
            process = subprocess.Popen(  # noqa: S603  our own
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True
            )

        @atexit.register
        def end() -> None:
            ours.close()
            process.wait()

        return ours
