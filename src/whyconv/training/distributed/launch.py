"""What a launcher such as torchrun tells each process: which one it is, of how many, and where they meet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from whyconv.errors import UsageError

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_MOST = 1 << 20


@dataclass(frozen=True)
class Launch:
    """The variables of ``torchrun``, which Slurm, Kubeflow, Ray and others set as well.

    Attributes:
        rank: Of this process, from 0; 0 leads.
        size: Number of processes.
        local_rank: Of this process among those of its machine, from 0.
        num_local: Processes of its machine.
        attempt: How often the launcher has started them anew, from 0.
        name: The same for all attempts of one launch.
    """

    rank: int
    size: int
    local_rank: int = 0
    attempt: int = 0
    name: str = ""
    num_local: int = 1


def launched(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """What a launcher says of this process; None where none has started it.

    Raises:
        UsageError: Some variables are missing, or are not what they should be.

    References:
        https://docs.pytorch.org/docs/stable/elastic/run.html, "Environment Variables".
    """
    if "RANK" not in environment and "WORLD_SIZE" not in environment:
        return None
    missing = [name for name in _NEEDED if not environment.get(name)]
    if missing:
        raise UsageError(
            f"RANK or WORLD_SIZE says that a launcher has started this process, but {' and '.join(missing)} "
            f"{'are' if len(missing) > 1 else 'is'} not set. Start with:  torchrun --nproc-per-node 2 -m whyconv train "
            "PICTURES; or unset RANK and WORLD_SIZE to train in one process."
        )
    size = _number(environment, "WORLD_SIZE", 1, _MOST)
    rank = _number(environment, "RANK", 0, size - 1)
    _number(environment, "MASTER_PORT", 1, 65535)
    local_rank = _number(environment, "LOCAL_RANK", 0, size - 1, default=0)
    attempt = _number(environment, "TORCHELASTIC_RESTART_COUNT", 0, _MOST, default=0)
    num_local = _number(environment, "LOCAL_WORLD_SIZE", 1, size, default=size)
    return Launch(rank, size, local_rank, attempt, _name(environment), num_local)


def _number(environment: Mapping[str, str], name: str, least: int, most: int, default: int | None = None) -> int:
    text = environment.get(name, "")
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise UsageError(f"{name} = {text!r}, which the launcher sets: expected a whole number from {least} to {most}.")
    return int(text)


def _name(environment: Mapping[str, str]) -> str:
    run_id = environment.get("TORCHELASTIC_RUN_ID", "none")
    if run_id != "none":
        return run_id
    # Without a name of its own the launch is the process that started this one, which stays through all attempts.
    return f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}:{os.getppid()}"
