"""Runs a function in several processes that are connected as a launcher connects them; each writes what it returns.

    python tests/several_processes.py MODULE:FUNCTION FOLDER [WORDS...]

started once for each process, with the launcher's variables set. The function gets the group and the words.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch


def in_processes(size: int, function: str, folder: Path, *words: str) -> list[dict[str, Any]]:
    """What ``module:function`` returns in each of ``size`` processes: dicts of tensors and plain values."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    started = [
        subprocess.Popen(
            [sys.executable, __file__, function, str(folder), *words],
            env=os.environ | variables(rank, size, port),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    told = [each.communicate(timeout=120)[1] for each in started]
    assert [each.returncode for each in started] == [0] * size, "\n".join(told)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(size)]


def variables(rank: int, size: int, port: int) -> dict[str, str]:
    """What a launcher sets for one process of a machine."""
    ours = Path(__file__).parent
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ours), os.environ.get("PYTHONPATH", "")])),
    }


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> None:
    from whyconv.training.distributed import joined, launched

    function, folder, *words = sys.argv[1:]
    module, _, name = function.partition(":")
    torch.set_num_threads(1)
    with joined(launched()) as group:
        found = getattr(import_module(module), name)(group, *words)
        torch.save(found, Path(folder) / f"{group.rank}.pt")


if __name__ == "__main__":
    main()
