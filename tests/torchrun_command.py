"""The command under torchrun, saving its state after every epoch; may hurt itself once, in its first attempt.

    torchrun ... tests/torchrun_command.py WORDS OF WHYCONV

``HURT`` in the environment says what happens to which process before which step: ``kill:1:30``, ``freeze:1:30``,
``stop:0:30``.
``PATIENCE`` are the seconds after which a silent process is taken for frozen.
"""

from __future__ import annotations

import os
import signal
import sys

from whyconv.machine import set_thread_habits

set_thread_habits()

from whyconv.cli import main  # noqa: E402
from whyconv.training import loop  # noqa: E402
from whyconv.training.distributed import group, launched  # noqa: E402

_SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "stop": signal.SIGTERM}


def hurt_before(what: str, rank: int, step: int) -> None:
    """Lets this process be killed or frozen before a step, where it is the one."""
    real = loop._Session._take_step

    def take_step(session: loop._Session, *given: object) -> None:
        # Not in the short trial before the plan, which writes nothing and which one process does alone.
        is_trial = session.folder is None and session.group.size == 1
        if not is_trial and session.group.rank == rank and session.step == step:
            os.kill(os.getpid(), _SIGNALS[what])
        real(session, *given)  # type: ignore[arg-type]

    loop._Session._take_step = take_step  # type: ignore[method-assign]


if __name__ == "__main__":
    launch = launched()
    loop._CHECKPOINT_SECONDS = -1.0
    if "PATIENCE" in os.environ:
        group.PATIENCE_SECONDS = float(os.environ["PATIENCE"])
    if "HURT" in os.environ and launch is not None and not launch.attempt:
        what, rank, step = os.environ["HURT"].split(":")
        hurt_before(what, int(rank), int(step))
    sys.exit(main())
