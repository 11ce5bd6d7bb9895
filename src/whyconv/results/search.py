"""What a search over settings has tried, and what it chose."""

from __future__ import annotations

from whyconv.results.record import Estimate, Record


class Setting(Record):
    """One choice of what is searched over.

    Attributes:
        learning_rate: Of the kernels, where the optimizer tells them apart.
        weight_decay: As in the plan.
        widths: Filters of each block; empty for networks whose size is not searched over.
        filter_size: Pixels a side of the blocks' filters.
    """

    learning_rate: float
    weight_decay: float
    widths: list[int]
    filter_size: int


class SearchTrial(Record):
    """One short training by a setting.

    Attributes:
        number: Of the setting, from 0, which is the usual one.
        round: From 1.
        epochs: Of this training.
        setting: What it was trained by.
        loss: J on the validation part, in nats, lower is better; None where training diverged.
        accuracy: On the validation part; None where training diverged.
        seconds: Of the training.
        is_kept: Whether the setting went on to the next round; of the last round: whether it is the one chosen.
    """

    number: int
    round: int
    epochs: int
    setting: Setting
    loss: float | None
    accuracy: Estimate | None
    seconds: float
    is_kept: bool


class Search(Record):
    """A successive-halving search.

    Attributes:
        trials: In the order in which they were made.
        chosen: Number of the setting that the run was trained by.
        gain: J of the usual setting less that of the best other one, in the last round, in nats: the mean over the
            validation pictures; None where nothing could be compared.
        gain_error: Standard error of ``gain``, paired by picture; None likewise.
        seconds: Of all of it.
    """

    trials: list[SearchTrial]
    chosen: int
    gain: float | None
    gain_error: float | None
    seconds: float
