"""Two hosts on one machine: network namespaces with a link between them that can be cut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_NETWORK = "10.213.7"


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def can_be_made() -> bool:
    """Whether this process may make network namespaces."""
    try:
        with two_hosts():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@dataclass(frozen=True)
class Hosts:
    """The namespaces of two hosts; each sees the same files."""

    names: tuple[str, str]

    def address(self, number: int) -> str:
        """Of a host on the link."""
        return f"{_NETWORK}.{number + 1}"

    def cut(self) -> None:
        """Takes the link down: whatever is sent is lost, and nobody is told."""
        run("ip", "-n", self.names[0], "link", "set", "link0", "down")

    def mend(self) -> None:
        """Puts it up again."""
        run("ip", "-n", self.names[0], "link", "set", "link0", "up")

    def lose_power(self) -> None:
        """Kills all that runs on either host: launchers, and what they have started in sessions of its own."""
        for name in self.names:
            found = subprocess.run(["ip", "netns", "pids", name], check=True, capture_output=True, text=True)
            for each in found.stdout.split():
                with suppress(ProcessLookupError):
                    os.kill(int(each), signal.SIGKILL)

    def start(self, number: int, place: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
        """A command under torchrun on one of them: one process a host, which begin again as often as is asked."""
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
        meeting = ["--rdzv-backend", "c10d", "--rdzv-id", "cut", "--rdzv-endpoint", f"{self.address(0)}:29511"]
        # By its names alone torchrun does not find out which of them the meeting point is.
        host = ["--rdzv-conf", f"is_host={int(number == 0)}"]
        options = [*host, "--local-addr", self.address(number), "--max-restarts", "2"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TORCHELASTIC")}
        return subprocess.Popen(
            ["ip", "netns", "exec", self.names[number], *torchrun, *meeting, *options, *words],
            cwd=place,
            env=kept | {"GLOO_SOCKET_IFNAME": f"link{number}", "OMP_NUM_THREADS": "1"} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Makes them, and takes them away.

    Raises:
        OSError: There is no ``ip``.
        CalledProcessError: It may not.
    """
    names = (f"whyconv-a-{os.getpid()}", f"whyconv-b-{os.getpid()}")
    hosts = Hosts(names)
    try:
        for name in names:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "link0", "netns", names[0], "type", "veth", "peer", "name", "link1", "netns", names[1])
        for number, name in enumerate(names):
            run("ip", "-n", name, "addr", "add", f"{hosts.address(number)}/24", "dev", f"link{number}")
            run("ip", "-n", name, "link", "set", f"link{number}", "up")
        yield hosts
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
