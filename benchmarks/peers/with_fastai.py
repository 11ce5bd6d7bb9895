"""fastai: an xresnet18 trained by one-cycle, as its book has it (documented) or with everything that helps (fair).

Documented: files decoded by workers at each epoch, `Resize` and `aug_transforms`, normalized by ImageNet's statistics,
whole epochs, as many as fit. Fair: ready-made copies, no workers, channels last, label smoothing, a schedule in steps
that ends with the budget, four views of photos and six of small pictures at test time.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch
from cell import Asked, Copies, finish, open_copies, read_words, seconds_of
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import (
    Callback,
    CancelFitException,
    CancelValidException,
    DataLoaders,
    ImageDataLoaders,
    IntToFloatTensor,
    LabelSmoothingCrossEntropyFlat,
    Learner,
    Normalize,
    Resize,
    TensorCategory,
    TensorImage,
    TfmdDL,
    accuracy,
    aug_transforms,
    imagenet_stats,
    set_seed,
    xresnet18,
)
from versions import versions

WARM, TIMED, ANSWER_BATCH = 3, 8, 128
SMALL = 64  # pixels, up to which a margin is made by reflection and no part of a picture is enlarged
PAD = 4


class Stopwatch(Callback):
    """Ends a trial after a few batches; ``pace`` is the mean time from batch to batch, loading included."""

    def before_fit(self) -> None:
        """Starts the clock."""
        self.times: list[float] = []

    def after_batch(self) -> None:
        """Takes the time, and ends the trial."""
        self.times.append(time.perf_counter())
        if len(self.times) > WARM + TIMED:
            raise CancelFitException

    @property
    def pace(self) -> float:
        """Seconds a batch."""
        return statistics.fmean(np.diff(self.times[WARM:]))


class NoValidation(Callback):
    """Leaves the time to training."""

    def before_validate(self) -> None:
        """Skips it."""
        raise CancelValidException


class CopiesLoader(TfmdDL):
    """Batches of ready-made copies; one pass has as many pictures as asked for, over several orders."""

    def __init__(self, copies: Copies, bs: int, *, num_pictures: int, pad: int, **words: object) -> None:
        self.copies, self.pad = copies, pad
        super().__init__(
            range(len(copies.train_x)), bs=bs, shuffle=True, n=num_pictures, num_workers=0, drop_last=True, **words
        )
        self._n_inp = 1

    def get_idxs(self) -> list[int]:
        """Returns the rows of one pass."""
        passes = -(-self.n // len(self.copies.train_x))
        orders = [np.random.permutation(len(self.copies.train_x)) for _ in range(passes)]  # noqa: NPY002
        return np.concatenate(orders)[: self.n].tolist()

    def create_batches(self, samps: Iterator[int]) -> Iterator[tuple[TensorImage, TensorCategory]]:
        """Yields pixels and classes."""
        for rows in self.chunkify(samps):
            x = np.stack([self.copies.train_x[row] for row in rows])
            yield TensorImage(as_planes(self._moved(x))), TensorCategory(torch.from_numpy(self.copies.train_y[rows]))

    def _moved(self, x: np.ndarray) -> np.ndarray:
        """Moves and mirrors small pictures; those of photos are fastai's own transforms."""
        if not self.pad:
            return x
        side = x.shape[1]
        padded = np.pad(x, ((0, 0), (self.pad,) * 2, (self.pad,) * 2, (0, 0)), mode="reflect")
        draws = np.random.randint(0, 2 * self.pad + 1, (len(x), 2))  # noqa: NPY002
        moved = [one[top : top + side, left : left + side] for one, (top, left) in zip(padded, draws, strict=True)]
        mirrored = np.random.rand(len(x)) < 0.5  # noqa: NPY002
        return np.stack([one[:, ::-1] if flip else one for one, flip in zip(moved, mirrored, strict=True)])


def as_planes(x: np.ndarray) -> torch.Tensor:
    """Returns uint8 (n, 3, h, w), channels last in memory."""
    return torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2)


class Fair:
    """What a fair training takes; each ``learner`` starts anew from the seed."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.copies = asked, open_copies(asked.pictures)
        self.side, self.rate = int(asked.settings["side"]), float(asked.settings["learning_rate"])
        self.batch = min(int(asked.settings["batch"]), len(self.copies.train_x))
        self.is_small = self.copies.train_x.shape[1] <= SMALL
        sample = np.asarray(self.copies.train_x[:: max(1, len(self.copies.train_x) // 2000)], np.float32) / 255
        self.mean, self.spread = sample.mean(axis=(0, 1, 2)), sample.std(axis=(0, 1, 2))

    def learner(self, num_steps: int, *more: Callback) -> Learner:
        """Returns an untrained network with its pictures; one epoch has ``num_steps`` steps."""
        set_seed(self.asked.seed)
        changes = [] if self.is_small else aug_transforms(size=self.side)
        loader = CopiesLoader(
            self.copies,
            self.batch,
            num_pictures=num_steps * self.batch,
            pad=PAD if self.is_small else 0,
            after_batch=[IntToFloatTensor(), *changes, Normalize.from_stats(self.mean, self.spread, cuda=False)],
            device=torch.device("cpu"),
        )
        network, loss = xresnet18(n_out=len(self.copies.classes)), LabelSmoothingCrossEntropyFlat()
        callbacks = [ChannelsLast(), NoValidation(), *more]
        return Learner(DataLoaders(loader, loader), network, loss_func=loss, cbs=callbacks)

    def train(self, learner: Learner) -> None:
        """Trains for one epoch by one-cycle."""
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(1, self.rate)

    def named(self, network: torch.nn.Module, start: int) -> torch.Tensor:
        """Returns the number of the class that is named for each test picture of a batch."""
        pixels = as_planes(np.asarray(self.copies.test_x[start : start + ANSWER_BATCH])).float() / 255
        x = (pixels - planes(self.mean)) / planes(self.spread)
        return named(network, small_views(x) if self.is_small else photo_views(x, self.side))


def fair(asked: Asked) -> None:
    task = Fair(asked)
    copies, starts = task.copies, range(0, len(task.copies.test_x), ANSWER_BATCH)
    trial = task.learner(1000, watch := Stopwatch())
    task.train(trial)
    after = len(starts) * seconds_of(lambda: task.named(trial.model, 0))
    num_steps = max(1, int((asked.seconds_left() - after) / watch.pace))
    learner = task.learner(num_steps)
    seconds = seconds_of(lambda: task.train(learner))
    best = torch.cat([task.named(learner.model, start) for start in starts])
    finish(
        asked,
        copies.test_names,
        [copies.classes[number] for number in best.tolist()],
        training_seconds=seconds,
        num_steps=num_steps,
        num_epochs=num_steps * task.batch / len(copies.train_x),
        versions=versions("fastai", "torch", "torchvision", "numpy"),
    )


def planes(color: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(color).view(1, 3, 1, 1)


def small_views(x: torch.Tensor) -> list[torch.Tensor]:
    """In place twice, and moved by a pixel along the diagonal in both directions; each also mirrored."""
    side, padded = x.shape[-1], torch.nn.functional.pad(x, (1,) * 4, mode="reflect")
    moved = [padded[:, :, shift : shift + side, shift : shift + side] for shift in (0, 2)]
    return [view for each in (x, x, *moved) for view in (each, each.flip(-1))]


def photo_views(x: torch.Tensor, side: int) -> list[torch.Tensor]:
    """The whole picture, and the middle 85 % of its side, enlarged; each also mirrored."""
    cut = round(0.075 * x.shape[-1])
    parts = (x, x[:, :, cut:-cut, cut:-cut])
    resized = [torch.nn.functional.interpolate(part, (side, side), mode="bilinear", antialias=True) for part in parts]
    return [view for each in resized for view in (each, each.flip(-1))]


@torch.no_grad()
def named(network: torch.nn.Module, views: list[torch.Tensor]) -> torch.Tensor:
    """Returns the number of the class that the mean of the views names."""
    network.eval()
    logits = [network(view.contiguous(memory_format=torch.channels_last)) for view in views]
    return torch.stack(logits).mean(0).argmax(1)


def documented(asked: Asked) -> None:
    side = int(asked.settings["side"])
    is_small = side <= SMALL
    item = None if is_small else Resize(round(1.25 * side))
    batch = aug_transforms() if is_small else aug_transforms(size=side, min_scale=0.75)

    def learner(*more: Callback) -> Learner:
        set_seed(asked.seed)
        loaders = ImageDataLoaders.from_folder(
            asked.pictures / "files",
            train="train",
            valid="test",
            bs=int(asked.settings["batch"]),
            item_tfms=item,
            batch_tfms=[*batch, Normalize.from_stats(*imagenet_stats, cuda=False)],
            device=torch.device("cpu"),
        )
        return Learner(loaders, xresnet18(n_out=loaders.c), metrics=accuracy, cbs=list(more))

    rate = float(asked.settings["learning_rate"])
    trial = learner(watch := Stopwatch())
    with trial.no_bar(), trial.no_logging():
        trial.fit_one_cycle(1, rate)
    # Scoring a batch takes about a third of training on it: once an epoch, and once at the end.
    scoring = watch.pace * len(trial.dls.valid) / 3
    epoch = watch.pace * len(trial.dls.train) + scoring
    num_epochs = max(1, int((asked.seconds_left() - scoring) / epoch))
    learn, began = learner(), time.perf_counter()
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(num_epochs, rate)
        seconds = time.perf_counter() - began
        probabilities, _ = learn.get_preds()
    names = ["/".join(path.parts[-2:]) for path in learn.dls.valid.items]
    answers = [learn.dls.vocab[number] for number in probabilities.argmax(1).tolist()]
    told = {"training_seconds": seconds, "num_epochs": num_epochs, "num_steps": num_epochs * len(learn.dls.train)}
    finish(asked, names, answers, **told, versions=versions("fastai", "torch", "torchvision", "numpy"))


if __name__ == "__main__":
    os.environ.setdefault("FASTAI_HOME", os.environ.get("XDG_CACHE_HOME", "."))
    words = read_words()
    fair(words) if words.mode == "fair" else documented(words)
