"""A recognizer for programs that use torch: a folder with weights and a description, and the way back to a module."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from pydantic import ValidationError

from whyconv.errors import ModelFileError, SettingsError
from whyconv.export import Answering
from whyconv.model_file import Metadata, read_description
from whyconv.settings import NetworkPlan
from whyconv.training.run_folder import NETWORK, WEIGHTS
from whyconv.training.stored import build_stored


def open_torch(folder: str | PathLike[str]) -> Answering:
    """Opens ``model.safetensors`` and ``network.json`` of a run folder, or of ``whyconv export --to torch``.

    Nothing but weights and JSON is read; code of others, ``package.module:callable``, runs only after
    ``whyconv.allow_code``.

    Args:
        folder: Where both files are, or what ``train`` returned.

    Returns:
        A module in evaluation mode: pixels uint8 (n, side, side, c), prepared as ``metadata.policy`` says, to
        probabilities (n, classes) and features (n, d). Its ``network`` alone maps normalized pictures (n, c, side,
        side) to logits; its ``metadata`` has class names and all that the files say.

    Raises:
        ModelFileError: A file is missing or damaged, or the two do not fit together.
        UsageError: The network is code of others that was not allowed, or is not found.
    """
    folder = Path(folder)
    values = read_description(folder / NETWORK)
    try:
        metadata = Metadata.model_validate(values)
        plan = NetworkPlan.described(values, where=str(folder / NETWORK))
    except (ValidationError, SettingsError) as error:
        raise ModelFileError(f"{folder / NETWORK} is damaged: {str(error).splitlines()[0]}") from None
    network = build_stored(plan, folder / WEIGHTS)
    module = Answering(network, plan, metadata.temperature)
    module.metadata = metadata
    return module.eval()
