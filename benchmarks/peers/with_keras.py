"""Keras: the small Xception of its example 'Image classification from scratch', as there or with what helps (fair).

Documented: files read by `image_dataset_from_directory`, mirroring and turns by up to a tenth, Adam, whole epochs, as
many as fit. Fair: ready-made copies, moved and mirrored, label smoothing, normalization that follows faster, a cosine
that ends with the budget, eight views at test time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from cell import Copies, finish, open_copies, read_words, seconds_of, steps_that_fit
from versions import versions

asked = read_words()
os.environ["KERAS_BACKEND"] = str(asked.settings["backend"])

import keras  # the backend is chosen by the environment
import numpy as np
from keras import layers

WIDTHS, FIRST, LAST = (256, 512, 728), 128, 1024
SMALL, PAD, ANSWER_BATCH = 64, 4, 128
WARM_UP, SMOOTHING = 0.1, 0.1


def normalized(x: object) -> object:
    # Keras' own 0.99 forgets its start, a variance of 1, after a thousand steps; short budgets have fifty.
    return layers.BatchNormalization(momentum=0.8 if asked.mode == "fair" else 0.99)(x)


def separable(x: object, width: int) -> object:
    return normalized(layers.SeparableConv2D(width, 3, padding="same")(x))


def small_xception(side: int, num_classes: int) -> keras.Model:
    """Returns the example's network, as of 2023: 128 channels at half the side, three residual stages, then 1,024."""
    pixels = keras.Input((side, side, 3))
    x = layers.Conv2D(FIRST, 3, strides=2, padding="same")(layers.Rescaling(1 / 255)(pixels))
    x = layers.Activation("relu")(normalized(x))
    for width in WIDTHS:
        before = x
        x = separable(layers.Activation("relu")(x), width)
        x = separable(layers.Activation("relu")(x), width)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.add([x, layers.Conv2D(width, 1, strides=2, padding="same")(before)])
    x = layers.Activation("relu")(separable(x, LAST))
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, layers.Dense(num_classes)(x))


class CopiesOfBatches(keras.utils.PyDataset):
    """Batches of ready-made copies, moved and mirrored; ``num_steps`` of them, over several orders."""

    def __init__(self, copies: Copies, side: int, batch: int, num_steps: int, seed: int) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=2)
        self.copies, self.side, self.batch = copies, side, min(batch, len(copies.train_x))
        self.random, self.num_steps = np.random.default_rng(seed), num_steps
        self.targets = np.eye(len(copies.classes), dtype=np.float32)
        passes = -(-num_steps * self.batch // len(copies.train_x))
        self.order = np.concatenate([self.random.permutation(len(copies.train_x)) for _ in range(passes)])

    def __len__(self) -> int:
        return self.num_steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch : (index + 1) * self.batch]
        pixels = np.stack([self.copies.train_x[row] for row in rows])
        x = np.empty((len(rows), self.side, self.side, 3), np.float32)
        padded = margin(pixels)
        draws = self.random.integers(0, padded.shape[1] - self.side + 1, (len(rows), 2))
        for place, ((top, left), flip) in enumerate(zip(draws, self.random.random(len(rows)) < 0.5, strict=True)):
            crop = padded[place, top : top + self.side, left : left + self.side]
            x[place] = crop[:, ::-1] if flip else crop
        return x, self.targets[self.copies.train_y[rows]]


def margin(pixels: np.ndarray) -> np.ndarray:
    """Gives small pictures a reflected margin; copies of photos have one."""
    if pixels.shape[1] > SMALL:
        return pixels
    return np.pad(pixels, ((0, 0), (PAD,) * 2, (PAD,) * 2, (0, 0)), mode="reflect")


def views(pixels: np.ndarray, side: int) -> list[np.ndarray]:
    """The middle twice, and moved along the diagonal in both directions; each also mirrored."""
    padded = margin(pixels).astype(np.float32)
    middle = (padded.shape[1] - side) // 2
    reach = max(1, middle // 2) if pixels.shape[1] > SMALL else 1
    places = (middle, middle, middle - reach, middle + reach)
    crops = [padded[:, place : place + side, place : place + side] for place in places]
    return [view for crop in crops for view in (crop, crop[:, :, ::-1])]


def named(network: keras.Model, pixels: np.ndarray, side: int) -> np.ndarray:
    """Returns the number of the class that the mean of the views names."""
    logits = [network.predict_on_batch(np.ascontiguousarray(view)) for view in views(pixels, side)]
    return np.mean([np.asarray(each) for each in logits], axis=0).argmax(axis=1)


def fair() -> None:
    copies, side, batch = open_copies(asked.pictures), int(asked.settings["side"]), int(asked.settings["batch"])
    rate = float(asked.settings["learning_rate"])

    def training(num_steps: int) -> tuple[keras.Model, CopiesOfBatches]:
        keras.utils.set_random_seed(asked.seed)
        network = small_xception(side, len(copies.classes))
        rise = max(1, int(WARM_UP * num_steps))
        falling = keras.optimizers.schedules.CosineDecay(
            rate / 25, max(1, num_steps - rise), warmup_target=rate, warmup_steps=rise
        )
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)
        # On two cores XLA took six times as long.
        network.compile(keras.optimizers.Adam(falling), loss, jit_compile=False)
        return network, CopiesOfBatches(copies, side, batch, num_steps, asked.seed)

    trial, batches = training(100)
    drawn = iter(range(100))
    last = slice(-ANSWER_BATCH, None)
    num_steps = steps_that_fit(
        asked,
        lambda: trial.train_on_batch(*batches[next(drawn)]),
        lambda: named(trial, np.asarray(copies.test_x[last]), side),
        -(-len(copies.test_x) // ANSWER_BATCH),
    )
    network, batches = training(num_steps)
    seconds = seconds_of(lambda: network.fit(batches, epochs=1, verbose=0, shuffle=False))
    starts = range(0, len(copies.test_x), ANSWER_BATCH)
    best = [named(network, np.asarray(copies.test_x[start : start + ANSWER_BATCH]), side) for start in starts]
    answers = [copies.classes[number] for number in np.concatenate(best)]
    told = {"training_seconds": seconds, "num_steps": num_steps}
    epochs = num_steps * batches.batch / len(copies.train_x)
    finish(asked, copies.test_names, answers, **told, num_epochs=epochs, versions=found_versions())


def documented() -> None:
    side, batch = int(asked.settings["side"]), int(asked.settings["batch"])
    words = {"image_size": (side, side), "batch_size": batch}
    folder = asked.pictures / "files"
    train = keras.utils.image_dataset_from_directory(folder / "train", seed=asked.seed, **words)
    test = keras.utils.image_dataset_from_directory(folder / "test", shuffle=False, **words)
    classes, files = train.class_names, test.file_paths
    change = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    num_batches = len(train)
    train = train.map(lambda x, y: (change(x, training=True), y), num_parallel_calls=-1).prefetch(-1)

    def training() -> keras.Model:
        keras.utils.set_random_seed(asked.seed)
        network = small_xception(side, len(classes))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile(keras.optimizers.Adam(float(asked.settings["learning_rate"])), loss, metrics=["acc"])
        return network

    trial, few = training(), min(6, num_batches)
    trial.fit(train.take(2), epochs=1, verbose=0)
    pace = seconds_of(lambda: trial.fit(train.take(few), epochs=1, verbose=0)) / few
    # Scoring a batch takes about a third of training on it: once an epoch, and once at the end.
    scoring = pace * len(test) / 3
    num_epochs = max(1, int((asked.seconds_left() - scoring) / (pace * num_batches + scoring)))
    network, began = training(), time.perf_counter()
    network.fit(train, epochs=num_epochs, validation_data=test, verbose=0)
    seconds = time.perf_counter() - began
    best = np.asarray(network.predict(test, verbose=0)).argmax(axis=1)
    names = ["/".join(Path(path).parts[-2:]) for path in files]
    told = {"training_seconds": seconds, "num_epochs": num_epochs, "num_steps": num_epochs * num_batches}
    finish(asked, names, [classes[number] for number in best], **told, versions=found_versions())


def found_versions() -> dict[str, str]:
    backend = {"tensorflow": "tensorflow_cpu"}.get(keras.backend.backend(), keras.backend.backend())
    return versions("keras", backend, "numpy")


if __name__ == "__main__":
    fair() if asked.mode == "fair" else documented()
