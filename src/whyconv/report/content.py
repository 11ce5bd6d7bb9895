"""What a report is made of: the records of a run, and the few pictures that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyconv.results import CheckReport, EpochRecord, Evaluation, Note, RunSummary, Search, Suspect
from whyconv.results.network import NetworkReport


@dataclass(frozen=True, eq=False)
class SeenPicture:
    """A picture as the network sees it.

    Attributes:
        pixels: After turning, fitting and scaling to the network's side; uint8 (h, w, 1) or (h, w, 3).
        name: Its file name, as listed.
        label: Its class.
    """

    pixels: NDArray[np.uint8]
    name: str
    label: str


@dataclass(frozen=True, eq=False)
class MistakenPicture:
    """A picture that was answered wrongly, as the network sees it.

    Attributes:
        pixels: uint8 (h, w, 1) or (h, w, 3).
        name: Its file name, as listed.
        truth: Its class.
        answer: The class it was given.
        probability: Of ``answer``, in [0, 1].
    """

    pixels: NDArray[np.uint8]
    name: str
    truth: str
    answer: str
    probability: float


@dataclass(frozen=True, eq=False)
class SuspectPicture:
    """A picture whose label is worth a look, as the network sees it.

    Attributes:
        pixels: uint8 (h, w, 1) or (h, w, 3).
        suspect: What speaks against its label.
    """

    pixels: NDArray[np.uint8]
    suspect: Suspect


@dataclass(frozen=True)
class LayerRow:
    """One layer of the network.

    Attributes:
        name: Its path in the network: "stage1.conv".
        kind: What it is, in a word: "Conv2d 3x3".
        output: Shape of what it gives for one picture, without the batch: (c, h, w) or (features,).
        num_parameters: Weights and biases, counted once.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    num_parameters: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportContent:
    """Everything that ``report.html`` and ``MODEL_CARD.md`` say about a run.

    What is left empty is left out of the page, or stands there as "not stated". Test and validation scores
    are those of ``summary``.

    Attributes:
        run: Name of the run; ``summary.run`` is its folder, which the commands name.
        summary: What the run amounts to.
        epochs: One record per epoch, in order.
        losses: J of every optimizer step, in nats, in order (steps,); not finite where it diverged.
        plan: What was decided before step 1, in the order in which it is shown. Known keys get a label in the
            reader's language: those with a sentence ``report_plan_...``. Others are shown as they are. A value may
            be a Note.
        reasons: For keys of ``plan``, the rule that set the value.
        check: What was found in the pictures.
        seen: Up to 24 pictures as the network sees them.
        most_confused: Wrongly answered pictures, surest first.
        suspects: Pictures whose labels are worth a look, the most doubtful first.
        detectors: Weights of the first convolution (filters, kh, kw, c).
        layers: The network, layer by layer.
        num_other_parameters: Of the network, those that none of ``layers`` has.
        network: The same, counted: connections, what is shared, what the twins would hold.
        not_counted: Why there is no ``network``, where it could not be counted.
        environment: Versions, machine, threads: shown as they are.
        data_digest: Digest of the pictures and labels, as hexadecimal; "" if none was taken.
        search: What was tried before step 1; None where nothing was.
        statements: What only the owner can say, for the card: any of developer, license, contact, intended_use,
            intended_users, out_of_scope, factors, collection, ethics, caveats. What is missing is "not stated".
    """

    run: str
    summary: RunSummary
    epochs: Sequence[EpochRecord] = ()
    losses: Sequence[float] | NDArray[Any] = ()
    plan: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, Note] = field(default_factory=dict)
    check: CheckReport | None = None
    seen: Sequence[SeenPicture] = ()
    most_confused: Sequence[MistakenPicture] = ()
    suspects: Sequence[SuspectPicture] = ()
    detectors: NDArray[Any] | None = None
    layers: Sequence[LayerRow] = ()
    num_other_parameters: int = 0
    network: NetworkReport | None = None
    not_counted: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    data_digest: str = ""
    search: Search | None = None
    statements: dict[str, str] = field(default_factory=dict)

    @property
    def evaluation(self) -> Evaluation | None:
        """The score to be believed: on the test part, else on the validation part."""
        return self.summary.test or self.summary.validation
