"""Ray, started here or joined elsewhere, without its reports, its page and its chatter."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from whyconv.errors import UsageError, WhyconvError, let_through, needing_extra
from whyconv.lock import is_free, sole_writer
from whyconv.machine import num_cores

LOCAL = "local"
_ADDRESSES = ("ray://", "auto")
_PREFIX = "whyconv-ray-"
# Nothing is sent to Ray's makers; no bars but ours; what a command of ours was started with is not started again.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Where these are missing Ray warns of changes to come, and of actors that we do restart.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


def require_address(cluster: str) -> None:
    """Checks what was asked for before anything is started.

    Raises:
        UsageError: It is neither local nor an address.
    """
    if cluster != LOCAL and not cluster.startswith(_ADDRESSES):
        raise UsageError(
            f"--cluster {cluster}: expected local, auto (the cluster that this machine is part of) or ray://HOST:PORT."
        )


@contextmanager
def connected(cluster: str) -> Iterator[Any]:
    """Gives Ray, connected; what was started here ends with the block.

    Args:
        cluster: ``local``, ``auto`` or ``ray://HOST:PORT``.

    Raises:
        MissingExtraError: Ray is not installed.
        WhyconvError: No cluster answers there, or none can be started here.
    """
    os.environ.update(_QUIET)
    with needing_extra("Prediction on a cluster", "cluster"):
        import ray
        import ray.data
    with _own_folder() if cluster == LOCAL else nullcontext() as folder:
        _begin(ray, cluster, folder)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            yield ray
        finally:
            ray.shutdown()


def _begin(ray: Any, cluster: str, folder: str | None) -> None:  # noqa: ANN401 - no types without it
    handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        with _silence():
            ray.init(**_words(cluster, folder))
    except Exception as error:  # on a machine that is too busy Ray raises no other kind than this
        let_through(error, WhyconvError)
        what = "Ray cannot be started here" if folder else f"No Ray cluster answers at {cluster}"
        first = str(error).strip().splitlines()[:1]
        raise WhyconvError(f"{what}: {(first or [type(error).__name__])[0]}") from error
    finally:
        # Ray puts its own in place, which would end the command without a word.
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _own_folder() -> Iterator[str]:
    """A folder for what Ray writes here; those that processes which were killed left behind are removed."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/lock"):
        if is_free(lock):
            shutil.rmtree(lock.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with sole_writer(folder, folder / "lock", doing="uses", then="try again"):
            yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _silence() -> Iterator[None]:
    """Inside, nothing is written to the error stream, by code that is not Python's either: Ray tells what it logs."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _words(cluster: str, folder: str | None) -> dict[str, Any]:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if folder is None:
        return {"address": cluster, **quiet}
    here = {"_temp_dir": folder, "_node_ip_address": "127.0.0.1", "include_dashboard": False}
    return {"address": "local", "num_cpus": num_cores(), **here, **quiet}
