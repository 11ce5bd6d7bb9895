"""What follows a training: calibration, scores, the exported file and its proof, tables, report, model card."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv import files
from whyconv.errors import ModelFileError, ParityError
from whyconv.export import compare, export, metadata_for, parity_of
from whyconv.images.sources.arrays import ArrayContents
from whyconv.lookups import write_lookups
from whyconv.measures.certificate import require_conditions, require_held, try_shifts
from whyconv.model_file import Metadata, read_description, with_digest
from whyconv.nets.windowed import Windowed
from whyconv.onnx_file.seal import sealed
from whyconv.planning import Material
from whyconv.pretrained.learning import Learned
from whyconv.promises import Examples, ValidationAnswers, add_promises, judged
from whyconv.recognizer import Answers, Recognizer, open_recognizer
from whyconv.reporting import write_pages
from whyconv.results import Calibration, Evaluation, Parity, RunSummary
from whyconv.results.certificate import Certificate
from whyconv.results.windows import ThroughWindows
from whyconv.scoring_together import answers_about, answers_of_part, hand_out, logits_of_part
from whyconv.settings import Plan
from whyconv.suspecting import find_suspects
from whyconv.texts import as_typed
from whyconv.training.calibration import calibration_error
from whyconv.training.checkpoint import save_weights
from whyconv.training.circular import CERTIFICATE_SECONDS
from whyconv.training.distributed import ALONE, Group
from whyconv.training.evaluate import fit_temperature, score, softmax
from whyconv.training.logits import normalize
from whyconv.training.outcome import Outcome
from whyconv.training.pictures import Part
from whyconv.training.pixel_rows import evenly_chosen, some
from whyconv.training.realistic import look_through
from whyconv.training.run_folder import CHECKPOINTS, MODEL, MOST_EXAMPLES, NETWORK, PLAN, SUMMARY, WEIGHTS, write_json
from whyconv.training.seen import write_seen
from whyconv.untrusted import MOST_SUMMARY_VALUES, mistakes_in, sound_json_in

# So that its logarithm is a number.
_LEAST_PROBABILITY = 1e-30
CERTIFICATE, WINDOWS, _MOST_CERTIFIED = "certificate.json", "windows.json", 2000


@dataclass(frozen=True, eq=False)
class Known:
    """What the exported file says about pictures that are no test pictures.

    Attributes:
        validation: About the validation part.
        examples: About training pictures.
    """

    validation: Answers
    examples: Examples


def finish(  # noqa: PLR0913
    folder: Path,
    network: nn.Module,
    plan: Plan,
    material: Material,
    outcome: Outcome,
    *,
    began: float,
    only_model: bool = False,
    learned: Learned | None = None,
    group: Group = ALONE,
) -> RunSummary:
    """Writes everything that a run consists of beside its plan and its history.

    Args:
        folder: The run folder.
        network: With the weights that are kept.
        plan: As carried out.
        material: The pictures.
        outcome: How the training ended.
        began: ``time.perf_counter()`` at the start of the command.
        only_model: Weights, exported file and scores only: no maps, tables, examples, report and card.
        learned: Where the run started from a frozen network: what it has come to.
        group: The processes that have trained together; this one leads them, and each answers its share.

    Raises:
        UsageError: Answers are to be invariant, and the network's graph does not show it.
        ParityError: It does, and answers changed; or the exported file answers otherwise than torch. Everything is
            written.
    """
    save_weights(folder / WEIGHTS, network)
    logits = _known_logits(network, plan, material, learned, group)
    temperature = _temperature(logits["validation"], material.validation)
    metadata = _write_model(folder, network, plan, material, temperature, learned)
    known = None if only_model else _ask_known(folder, plan, material, logits["validation"], learned, group)
    _promise(folder, metadata, material.validation, logits["validation"], known)
    recognizer = _opened(folder, plan, group)
    answers = {"validation": known.validation} if known else {}
    answers["test"] = answers_of_part(recognizer, material.test, group)
    if learned is not None:
        logits["test"] = _as_logits(answers["test"].probabilities, temperature)
    scores = _scores(logits, temperature, plan, material)
    scores |= _judged(scores, answers["test"], material.test, recognizer)
    parity = _parity(recognizer, network, plan, material, logits, answers)
    certificate = _certify(folder, network, plan, material, temperature)
    summary = RunSummary(
        run=str(folder),
        network=plan.network.name,
        num_parameters=sum(parameter.numel() for parameter in network.parameters()),
        best_epoch=outcome.best_epoch or outcome.num_epochs,
        num_epochs=outcome.num_epochs,
        num_steps=outcome.num_steps,
        skipped_steps=list(outcome.skipped),
        plan_digest=plan.digest,
        seconds=round(outcome.seconds_of_run(time.perf_counter() - began), 2),
        stopped=outcome.reason,
        validation=scores.get("validation"),
        test=scores.get("test"),
        parity=parity,
        certificate=certificate,
        windows=_through_windows(folder, network, plan, material),
    )
    if known is not None:
        write_lookups(folder, material, plan.network.classes, answers, known.examples)
        summary = _with_pages(summary, folder, network, plan, material, answers=answers, learned=learned)
    files.write_text(folder / SUMMARY, summary.model_dump_json(indent=2) + "\n")
    # Six times the weights, and of no more use: a finished run is gone on with from its weights.
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    _require_proved(certificate, parity, folder)
    return summary


def _with_pages(  # noqa: PLR0913
    summary: RunSummary,
    folder: Path,
    network: nn.Module,
    plan: Plan,
    material: Material,
    *,
    answers: Mapping[str, Answers],
    learned: Learned | None,
) -> RunSummary:
    """The summary with the labels that are worth a look; writes them, the report and the card."""
    suspects = find_suspects(folder, plan, material, answers, num_epochs=summary.num_epochs, learned=learned)
    told = summary.model_copy(update={"suspects": suspects})
    write_pages(folder, told, network, plan, material)
    return told


def read_summary(run: Path) -> RunSummary:
    """Reads what ``finish`` wrote.

    Raises:
        ModelFileError: ``run`` is no finished run folder.
    """
    try:
        return RunSummary.model_validate_json(sound_json_in(run / SUMMARY, MOST_SUMMARY_VALUES))
    except (FileNotFoundError, NotADirectoryError):
        raise _no_finished_run(run) from None
    except OSError as error:
        raise ModelFileError(f"{run / SUMMARY} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ModelFileError(f"{run / SUMMARY} is damaged: {mistakes_in(error)}.") from None


def _no_finished_run(run: Path) -> ModelFileError:
    if not run.exists():
        return ModelFileError(f"There is no {run}. Expected a run folder such as runs/<name>/.")
    if not (run / PLAN).is_file():
        return ModelFileError(f"{run} is no run folder: it has no {PLAN}. Expected runs/<name>/.")
    return ModelFileError(
        f"{run} is no finished run: it has no {SUMMARY}. If its training was stopped, go on with:  "
        f"whyconv train --resume {as_typed(run)}"
    )


def _write_model(
    folder: Path, network: nn.Module, plan: Plan, material: Material, temperature: float, learned: Learned | None
) -> Metadata:
    """Writes ``model.onnx``, what it says about itself as ``network.json``, and which pictures it was trained on."""
    parts = (material.train, material.validation, material.test)
    counts = {part.name: len(part) for part in parts} | {"train": material.num_train}
    contents = material.division.inspection.pictures.contents
    white = contents.white if isinstance(contents, ArrayContents) else None
    metadata = metadata_for(plan.network, material.policy, temperature, counts, array_white=white)
    values = metadata.model_dump(mode="json") | plan.network.model_dump(exclude={"name"})
    write_json(folder / NETWORK, with_digest(values))
    if learned is None:
        try:
            export(folder / MODEL, network, metadata, plan.network)
        except ModelFileError as error:
            raise ModelFileError(f"{error} Its weights are in {folder / WEIGHTS}.") from error
    else:
        files.write_bytes(folder / MODEL, sealed(learned.as_file(plan, metadata)))
    write_seen(folder, material.division)
    return metadata


def _promise(
    folder: Path, metadata: Metadata, validation: Part, logits: NDArray[np.float32], known: Known | None
) -> None:
    """Puts into ``model.onnx`` and ``network.json`` what the file can promise."""
    features, examples = (known.validation.features, known.examples) if known is not None else (None, None)
    # Pictures of a group say the same: what holds for new ones follows from one of each.
    rows = validation.independent
    data = some(validation.data, rows)
    asked = ValidationAnswers(data.pixels, data.labels, logits[rows], None if features is None else features[rows])
    found = add_promises(folder / MODEL, metadata, asked, examples)
    values = read_description(folder / NETWORK)
    write_json(folder / NETWORK, with_digest(values | found.model_dump(mode="json")))


def _known_logits(
    network: nn.Module, plan: Plan, material: Material, learned: Learned | None, group: Group
) -> dict[str, NDArray[np.float32]]:
    """Logits of validation and test; on a frozen network of validation only, for the file is quicker than torch."""
    if learned is not None:
        return {"validation": learned.logits}
    parts = material.validation, material.test
    return {part.name: logits_of_part(network, part, plan, group) for part in parts}


def _temperature(logits: NDArray[np.float32], validation: Part) -> float:
    """As fitted on validation; 1 where there is none."""
    return fit_temperature(logits, validation.data.labels) if len(validation) else 1.0


def _opened(folder: Path, plan: Plan, group: Group) -> Recognizer:
    """The exported file, in every process."""
    hand_out(folder / MODEL, group)
    return open_recognizer(folder, num_threads=plan.threads)


def _ask_known(
    folder: Path,
    plan: Plan,
    material: Material,
    logits: NDArray[np.float32],
    learned: Learned | None,
    group: Group,
) -> Known:
    """What the exported file says about validation and training pictures; on a frozen network that is known already."""
    recognizer = _opened(folder, plan, group)
    examples = _examples(recognizer, material.train, plan, learned)
    if learned is None:
        return Known(answers_of_part(recognizer, material.validation, group), examples)
    probabilities = softmax(logits / recognizer.metadata.temperature).astype(np.float32)
    return Known(Answers(probabilities, learned.validation_features), examples)


def _as_logits(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Logits up to a constant for each picture."""
    return np.asarray(np.log(np.maximum(probabilities, _LEAST_PROBABILITY)) * temperature, np.float32)


def _scores(
    logits: dict[str, NDArray[np.float32]], temperature: float, plan: Plan, material: Material
) -> dict[str, Evaluation]:
    """Scores validation and test with the temperature that was fitted on validation."""
    validation = material.validation
    scores = {}
    for part in (validation, material.test):
        if len(part):
            left_out = material.division.left_out if part is material.test else []
            scores[part.name] = score(
                softmax(logits[part.name] / temperature).astype(np.float32),
                part.data.labels,
                classes=plan.network.classes,
                names=part.names,
                part=part.name,
                calibration=_calibration(logits[part.name], part, temperature, len(validation)),
                left_out=left_out,
                groups=part.groups,
            )
    return scores


def _judged(
    scores: Mapping[str, Evaluation], answers: Answers, test: Part, recognizer: Recognizer
) -> dict[str, Evaluation]:
    """The score on test with what was promised and came true; nothing where there is none."""
    if test.name not in scores:
        return {}
    return {test.name: judged(scores[test.name], answers, test.data.labels, recognizer.metadata, test.groups)}


def _calibration(logits: NDArray[np.float32], part: Part, temperature: float, n_fit: int) -> Calibration | None:
    if not n_fit:
        return None
    return Calibration(
        temperature=temperature,
        error_before=calibration_error(softmax(logits).astype(np.float32), part.data.labels, part.groups),
        error_after=calibration_error(softmax(logits / temperature).astype(np.float32), part.data.labels, part.groups),
        n_fit=n_fit,
    )


def _parity(
    recognizer: Recognizer,
    network: nn.Module,
    plan: Plan,
    material: Material,
    logits: Mapping[str, NDArray[np.float32]],
    answers: Mapping[str, Answers],
) -> Parity:
    """Compares on every test picture; on validation, else training, where there are none. What was asked is not again.

    On a frozen network on as many, evenly chosen, as the plan says: torch takes several times longer there.
    """
    part = next(part for part in (material.test, material.validation, material.train) if len(part))
    if plan.frozen is None and part.name in answers:
        return parity_of(softmax(logits[part.name] / recognizer.metadata.temperature), answers[part.name].probabilities)
    rows = evenly_chosen(len(part), plan.frozen.compared if plan.frozen is not None else 0)
    return compare(recognizer, network, plan.network, some(part.data, rows).pixels)


def _require_proved(certificate: Certificate | None, parity: Parity, folder: Path) -> None:
    if certificate is not None:
        require_held(certificate)
    if not parity.is_equal:
        raise ParityError(
            f"{folder}/{MODEL} answers otherwise than torch: {parity.num_same_answer} of {parity.n} answers agree, "
            f"probabilities differ by up to {parity.largest_difference:.2g} (allowed {parity.tolerance:g}). Do not use "
            f"the file; the weights are in {WEIGHTS}."
        )


def _certify(
    folder: Path, network: nn.Module, plan: Plan, material: Material, temperature: float
) -> Certificate | None:
    """Writes ``certificate.json`` where the run was asked to be invariant, by at most 2,000 pictures of the test part.

    Of the validation part, or else the training part, where there are none.
    """
    if plan.network.invariant != "circular":
        return None
    pictures, labels = _some_pictures(plan, material)
    found = require_conditions(network, pictures.shape[1:])
    seconds = CERTIFICATE_SECONDS
    certificate = try_shifts(network, pictures, labels, found, seconds=seconds, seed=plan.seed, temperature=temperature)
    write_json(folder / CERTIFICATE, certificate.model_dump(mode="json"))
    return certificate


def _through_windows(folder: Path, network: nn.Module, plan: Plan, material: Material) -> ThroughWindows | None:
    """Writes ``windows.json`` where answers are the mean over windows, by the same pictures as a certificate."""
    if not isinstance(network, Windowed):
        return None
    found = look_through(network, *_some_pictures(plan, material))
    write_json(folder / WINDOWS, found.model_dump(mode="json") | {"price": found.price})
    return found


def _some_pictures(plan: Plan, material: Material) -> tuple[Tensor, NDArray[np.int64]]:
    """At most 2,000 independent pictures of the test part, normalized; of validation or training where it is empty."""
    part = next(part for part in (material.test, material.validation, material.train) if len(part))
    rows = part.independent
    rows = rows[evenly_chosen(len(rows), _MOST_CERTIFIED)]
    pixels = torch.from_numpy(np.ascontiguousarray(part.data.pixels[rows].transpose(0, 3, 1, 2))).float()
    return normalize(pixels, plan.network), part.data.labels[rows].astype(np.int64)


def _examples(recognizer: Recognizer, train: Part, plan: Plan, learned: Learned | None) -> Examples:
    """Training pictures, at most 1,000 evenly chosen, with their features."""
    rows = evenly_chosen(len(train), plan.frozen.looked_at if plan.frozen is not None else 0)
    rows = rows[evenly_chosen(len(rows), MOST_EXAMPLES)]
    pixels, labels = train.data.pixels[rows], train.data.labels[rows]
    if learned is not None:
        return Examples(rows, pixels, labels, learned.features)
    features = answers_about(recognizer, pixels).features
    assert features is not None
    return Examples(rows, pixels, labels, features)
