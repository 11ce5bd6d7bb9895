"""A recognizer for programs that use torch: a folder with weights and a description, and the way back to a module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from whyconv.errors import ModelFileError, SettingsError
from whyconv.export import Answering
from whyconv.model_file import Metadata
from whyconv.nets import build_planned
from whyconv.settings import NetworkPlan
from whyconv.training.checkpoint import load_weights
from whyconv.training.run_folder import NETWORK, WEIGHTS


def open_torch(folder: str | Path) -> Answering:
    """Opens ``model.safetensors`` and ``network.json`` of a run folder, or of ``whyconv export --to torch``.

    Nothing but weights and JSON is read; code runs only where the network is your own, ``package.module:callable``.

    Args:
        folder: Where both files are.

    Returns:
        A module in evaluation mode: pixels uint8 (n, side, side, c), prepared as ``metadata.policy`` says, to
        probabilities (n, classes) and features (n, d). Its ``network`` alone maps normalized pictures (n, c, side,
        side) to logits; its ``metadata`` has class names and all that the files say.

    Raises:
        ModelFileError: A file is missing or damaged, or the two do not fit together.
        UsageError: The network is your own, and its code is not found.
    """
    folder = Path(folder)
    values = read_description(folder)
    try:
        metadata = Metadata.model_validate(values)
        plan = NetworkPlan.described(values, where=str(folder / NETWORK))
    except (ValidationError, SettingsError) as error:
        raise ModelFileError(f"{folder / NETWORK} is damaged: {str(error).splitlines()[0]}") from None
    network = build_planned(plan)
    load_weights(folder / WEIGHTS, network)
    module = Answering(network, plan, metadata.temperature)
    module.metadata = metadata
    return module.eval()


def read_description(folder: Path) -> dict[str, Any]:
    """Reads ``network.json`` as it is.

    Raises:
        ModelFileError: It is missing or no JSON object.
    """
    path = folder / NETWORK
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read: {error.strerror}. Expected a run folder, or one of `whyconv export --to torch`."
        ) from None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise ModelFileError(f"{path} is damaged: it holds no JSON object. Export it again.")
    return values
