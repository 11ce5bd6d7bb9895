"""What an export starts from: a run's file, its network as it was trained, and pictures for the proof."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from whyconv.errors import DataError, ModelFileError, UsageError
from whyconv.export import Answering
from whyconv.exporting.proof import Ask, Levels, ProofPictures, pictures_in, pictures_of_run
from whyconv.exporting.torch_folder import open_torch
from whyconv.machine import num_cores
from whyconv.model_file import METADATA_KEY, Metadata, find_model, read_model
from whyconv.recognizer import Recognizer
from whyconv.results import Notify
from whyconv.settings import PRETRAINED, Plan
from whyconv.texts import as_typed
from whyconv.training.evaluate import softmax
from whyconv.training.logits import network_logits
from whyconv.training.pictures import divide_again
from whyconv.training.run_folder import PLAN, WEIGHTS
from whyconv.training.seen import SEEN
from whyconv.training.stored import build_stored
from whyconv.untrusted import json_values


@dataclass(frozen=True, eq=False)
class Source:
    """A run that is exported.

    Attributes:
        run: Its folder.
        plan: Its plan.
        model: Its own ``model.onnx``, as content.
        metadata: What that says of itself.
        pictures: For the proof.
        ask: The trained network, asked as in training.
        against: What ``ask`` asks.
        data_digest: Of the pictures it was made from.
        notify: Told how far the proof has come.
    """

    run: Path
    plan: Plan
    model: bytes
    metadata: Metadata
    pictures: ProofPictures
    ask: Ask
    against: Literal["torch", "model.onnx"]
    data_digest: str
    notify: Notify


def open_source(run: Path, plan: Plan, pictures: str | Path | None, notify: Notify) -> Source:
    """Reads a run for an export.

    Args:
        run: A finished run folder.
        plan: Its plan.
        pictures: A folder of pictures for the proof; None: the run's own.
        notify: Told of notes and progress.

    Raises:
        ModelFileError: The run is not finished, or lacks a file.
        DataError: There are no pictures for the proof.
    """
    model, metadata = read_model(find_model(run))
    found = _proof_pictures(run, plan, pictures, notify)
    has_torch = plan.frozen is None or plan.network.start == PRETRAINED
    ask = _ask_trained(run, plan, metadata.temperature) if has_torch else ask_file(model)
    against: Literal["torch", "model.onnx"] = "torch" if has_torch else "model.onnx"
    return Source(run, plan, model, metadata, found, ask, against, _data_digest(run), notify)


def _proof_pictures(run: Path, plan: Plan, pictures: str | Path | None, notify: Notify) -> ProofPictures:
    if pictures is not None:
        return pictures_in(Path(pictures))
    try:
        return pictures_of_run(divide_again(plan, notify, run / PLAN))
    except (DataError, UsageError) as error:
        raise DataError(
            f"{error} An export ends with a proof on real pictures, and the run's own are not there as they were; its "
            "thumbnails are too small for one. Name pictures like them:  --pictures FOLDER"
        ) from error


def _ask_trained(run: Path, plan: Plan, temperature: float) -> Ask:
    """The network as it was trained: called as in training and scoring, not as in any export."""
    network = trained_network(run, plan)

    def ask(pixels: Levels) -> NDArray[np.floating]:
        return softmax(network_logits(network, pixels, plan.network) / temperature)

    return ask


def trained_network(run: Path, plan: Plan) -> nn.Module:
    """The run's network in torch with the weights that were kept, in evaluation mode."""
    if plan.frozen is not None:
        return open_torch(run).network
    return build_stored(plan.network, run / WEIGHTS).eval()


def ask_file(content: bytes) -> Ask:
    """Asks the content of an ONNX file."""
    recognizer = Recognizer(content, num_threads=num_cores())
    return lambda pixels: recognizer.run(pixels).probabilities


def ask_module(module: Answering) -> Ask:
    """Asks a module of torch."""

    def ask(pixels: Levels) -> NDArray[np.floating]:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(pixels))[0].numpy())

    return ask


def _data_digest(run: Path) -> str:
    """SHA-256 over the sorted lines of ``digests.txt``, each with its line end."""
    try:
        lines = (run / SEEN).read_bytes().splitlines(keepends=True)
    except OSError:
        raise ModelFileError(
            f"{run / SEEN} is missing, so nobody can tell which pictures the run was trained on. Make it anew with:  "
            f"whyconv train --resume {as_typed(run)}"
        ) from None
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def said_in(model: bytes) -> dict[str, Any]:
    """What a file says of itself, word for word: also what this version does not know."""
    pairs = {pair.key: pair.value for pair in onnx.load_model_from_string(model).metadata_props}
    values: dict[str, Any] = json_values(pairs[METADATA_KEY])
    return values
