"""whyconv: an image recognizer from a folder of pictures, and exact answers to "why convolutions?".

The names below are loaded when they are first used: importing whyconv is quick and loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whyconv.anatomy import inspect_network as inspect
    from whyconv.errors import (
        ArrayError,
        DataError,
        DecodeTimeoutError,
        DivergedError,
        LostProcessError,
        MissingExtraError,
        ModelFileError,
        NewerFormatError,
        ParityError,
        PictureError,
        SettingsError,
        StoppedError,
        StorageError,
        UsageError,
        WhyconvError,
    )
    from whyconv.estimator import PictureClassifier
    from whyconv.evidence import explain
    from whyconv.exporting import export_run, open_torch
    from whyconv.inspection import check
    from whyconv.nets import allow_code
    from whyconv.recognizer import Recognizer
    from whyconv.recognizer import open_recognizer as open
    from whyconv.workflow import train, why

__version__ = "0.1.0"

__all__ = [
    "ArrayError",
    "DataError",
    "DecodeTimeoutError",
    "DivergedError",
    "LostProcessError",
    "MissingExtraError",
    "ModelFileError",
    "NewerFormatError",
    "ParityError",
    "PictureClassifier",
    "PictureError",
    "Recognizer",
    "SettingsError",
    "StoppedError",
    "StorageError",
    "UsageError",
    "WhyconvError",
    "__version__",
    "allow_code",
    "check",
    "explain",
    "export_run",
    "inspect",
    "open",
    "open_torch",
    "train",
    "why",
]

_MODULES = {
    "PictureClassifier": "estimator",
    "Recognizer": "recognizer",
    "check": "inspection",
    "explain": "evidence",
    "inspect": "anatomy",
    "open": "recognizer",
}
_OTHER_NAMES = {"inspect": "inspect_network", "open": "open_recognizer"}
_NEED_TRAINING = {
    "PictureClassifier": "estimator",
    "allow_code": "nets",
    "export_run": "exporting",
    "open_torch": "exporting",
    "train": "workflow",
    "why": "workflow",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'whyconv' has no attribute '{name}'")
    from whyconv.errors import needing_extra

    if name in _NEED_TRAINING:
        from whyconv.machine import set_thread_habits

        set_thread_habits()
        with needing_extra(f"whyconv.{name}", "train"):
            return getattr(import_module(f"whyconv.{_NEED_TRAINING[name]}"), name)
    module = import_module(f"whyconv.{_MODULES.get(name, 'errors')}")
    return getattr(module, _OTHER_NAMES.get(name, name))


def __dir__() -> list[str]:
    return __all__
