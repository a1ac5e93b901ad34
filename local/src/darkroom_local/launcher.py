"""A process that has imported what most processes of the local cloud need, and forks one for each that is ordered.

`darkroom_local.launchers` runs it as `python -m darkroom_local.launcher MODULE…` with a socket as standard input,
and sends orders: the length of a JSON object (`module`, `arguments`, `environment`, `folder`) together with three
files, for the process's output, for its errors, and a pipe that gets its process id and, when it has ended, its
exit code; then the object. The new process is `python -m MODULE ARGUMENT…` in its folder, with the imported modules
in its memory.

This process ends when nobody can order any more, however the local cloud died; then the kernel kills those that it
forked (prctl(2), `PR_SET_PDEATHSIG`). Where there is no prctl, forks of such a process are not safe either: there
each process starts anew, and this one kills them before it ends.
"""

import ctypes
import gc
import importlib
import io
import json
import os
import random
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

FORKS = sys.platform == "linux"
NUMBER = struct.Struct("=i")
PR_SET_NAME, PR_SET_PDEATHSIG = 15, 1  # linux/prctl.h


@dataclass(frozen=True)
class Order:
    """A module to run, its arguments, all that its environment is to have, and the folder to run it in."""

    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str = "."


def take_orders(orders: socket.socket) -> Order | None:
    """Start a process for each order until nobody can send one; returns, in a forked process only, its order."""
    tellers: dict[int, int] = {}
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([orders.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_ends(tellers)
        if orders.fileno() not in ready:
            continue
        length, files, _, _ = socket.recv_fds(orders, NUMBER.size, 3)
        if not length:
            for pid in tellers:
                os.kill(pid, signal.SIGKILL)
            return None
        (size,) = NUMBER.unpack(length)
        order = Order(**json.loads(orders.recv(size, socket.MSG_WAITALL)))
        output, errors, teller = files
        pid = _fork(output, errors) if FORKS else _spawn(order, output, errors)
        if pid == 0:
            return order
        tellers[pid] = teller
        os.close(output)
        os.close(errors)
        _tell(teller, pid)


def _tell_ends(tellers: dict[int, int]) -> None:
    while tellers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        teller = tellers.pop(pid)
        _tell(teller, os.waitstatus_to_exitcode(status))
        os.close(teller)


def _tell(teller: int, number: int) -> None:
    with suppress(BrokenPipeError):  # whoever ordered the process is gone
        os.write(teller, NUMBER.pack(number))


def _spawn(order: Order, output: int, errors: int) -> int:
    return subprocess.Popen(  # noqa: S603  our own
        [sys.executable, "-u", "-m", order.module, *order.arguments],
        cwd=order.folder,
        env=dict(order.environment),
        process_group=0,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
    ).pid


def _fork(output: int, errors: int) -> int:
    """Fork a process that has a group and an output of its own, and none of this one's other files."""
    server = os.getpid()
    pid = os.fork()
    if pid != 0:
        os.setpgid(pid, pid)  # here too: whoever learns of the process may signal its group at once
        return pid
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        sys.exit("the local cloud is gone")
    os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, output, errors)):
        os.dup2(file, number)
    for file in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  numbers, not paths
        if file > 2:  # noqa: PLR2004  standard input, output and error
            with suppress(OSError):  # the listing's own
                os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  as the interpreter does
    sys.stdout, sys.stderr = _text_output(1, "strict"), _text_output(2, "backslashreplace")
    return 0


def _text_output(number: int, errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(open(number, "wb", 0, closefd=False), "utf-8", errors, write_through=True)


def _prctl(option: int, argument: int | bytes) -> None:
    ctypes.CDLL(None).prctl(option, argument)


def become(order: Order) -> None:
    """Run the module as the interpreter would have."""
    os.environ.clear()  # noqa: TID251  this is where a process gets its environment
    os.environ.update(order.environment)  # noqa: TID251
    time.tzset()
    random.seed()  # or all processes would draw the same numbers
    os.chdir(order.folder)
    sys.path[0] = os.getcwd()  # noqa: PTH109  a string, as the interpreter puts it there
    sys.argv = [order.module, *order.arguments]
    _prctl(PR_SET_NAME, order.module.encode())
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Take orders, and in a forked process become what was ordered."""
    for module in sys.argv[1:] if FORKS else ():
        with suppress(ImportError):
            importlib.import_module(module)
    gc.freeze()  # memory that is shared stays so: no collection writes to it
    orders = socket.socket(fileno=0)
    order = take_orders(orders)
    orders.detach()  # in a forked process its number is the standard input's
    if order is not None:
        become(order)


if __name__ == "__main__":
    main()
