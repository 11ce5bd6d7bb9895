"""What several processes do in the tests of training together; see several_processes.py."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from tiny_training import bars, tiny_plan
from whyconv import together
from whyconv.errors import DataError
from whyconv.images.prepare import PicturePolicy
from whyconv.images.shards import open_shards
from whyconv.nets import swift
from whyconv.recognizer import Answers, Recognizer, open_recognizer
from whyconv.results import EpochRecord, ignore
from whyconv.scoring_together import Following, answers_of_part, hand_out, logits_of_part
from whyconv.settings import StreamPlan
from whyconv.training import loop, muon
from whyconv.training.augment import epoch_draws
from whyconv.training.distributed import Group
from whyconv.training.distributed.normalization import normalizing_together
from whyconv.training.pictures import Part
from whyconv.training.start import start_network
from whyconv.training.streamed import Stream, StreamedPictures
from whyconv.untrusted import json_values

NUM_STEPS = 50


def normalized(group: Group) -> dict[str, Any]:
    """A layer of normalization with ``normalization_case`` divided among the processes."""
    layer, x, goal = normalization_case()
    part = group.part(len(x))
    own = x[part].clone().requires_grad_()
    with normalizing_together(layer, group.total):
        y = layer(own)
    torch.autograd.backward((y * goal[part]).sum())
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    return {
        "y": y.detach(),
        "x": own.grad,
        "weight": layer.weight.grad,
        "bias": layer.bias.grad,
        "mean": layer.running_mean,
        "variance": layer.running_var,
    }


def normalization_case(*, tracks: bool = True) -> tuple[nn.BatchNorm2d, Tensor, Tensor]:
    """A layer that has running statistics or none, pictures whose mean is far from 0, and weights of its outputs."""
    generator = torch.Generator().manual_seed(5)
    layer = nn.BatchNorm2d(4, momentum=0.4, track_running_stats=tracks)
    with torch.no_grad():
        layer.weight.copy_(torch.rand(4, generator=generator) + 0.5)
        layer.bias.copy_(torch.randn(4, generator=generator))
    x = 3 * torch.randn(11, 4, 5, 5, generator=generator) + 40 * torch.randn(1, 4, 1, 1, generator=generator)
    return layer, x, torch.randn(11, 4, 5, 5, generator=generator)


def muon_case() -> tuple[nn.Sequential, list[Tensor]]:
    """Convolutions of very different cost with biases, a fully connected layer, and a gradient of each parameter."""
    torch.manual_seed(7)
    widths = (3, 24, 40, 40, 8)
    layers = [nn.Conv2d(a, b, 3) for a, b in pairwise(widths)]
    network = nn.Sequential(*layers, nn.Linear(8, 2))
    return network, [torch.randn_like(each) for each in network.parameters()]


def moved_by_muon(group: Group) -> dict[str, Any]:
    """Weights after three steps, and how many matrices were made orthogonal here."""
    network, gradients = muon_case()
    optimizer, made = muon.Muon(network, 0.1, other_learning_rate=0.01, processes=group), list[Tensor]()
    orthogonal = muon.orthogonal

    def counted(matrix: Tensor, *, rounds: bool) -> Tensor:
        made.append(matrix)
        return orthogonal(matrix, rounds=rounds)

    muon.orthogonal = counted  # type: ignore[assignment]
    try:
        for step in range(3):
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter.grad = gradient * (step + 1)
            optimizer.step()
    finally:
        muon.orthogonal = orthogonal
    return {"made": torch.tensor(len(made)), **network.state_dict()}


def trained(group: Group, network: str, precision: str) -> dict[str, Any]:
    """Losses of the steps, J and accuracy on validation, and the weights after 50 steps on bars."""
    plan = tiny_plan(
        side=8, network=network, epochs=13, batch=15, optimizer="muon", other_learning_rate=0.005, precision=precision
    )
    plan = plan.model_copy(update={"training": plan.training.model_copy(update={"stop_after": NUM_STEPS})})
    train, validation, losses = bars(64), bars(31, seed=1), list[float]()
    started = start_network(plan, pixels=train.pixels, group=group)
    session = loop._Session(started, train, validation, plan, (), None, math.inf, ignore, group)
    records: list[EpochRecord] = []
    session.notify = lambda event: records.append(event) if isinstance(event, EpochRecord) else None
    session.begin()
    with session.asking():
        while session.ended() is None:
            step = session._take_step

            def noted(*given: Any, step: Any = step) -> None:
                step(*given)
                losses.append(session.losses[-1])

            session._take_step = noted  # type: ignore[method-assign]
            session.run_epoch(lambda: 0)
            session._take_step = step  # type: ignore[method-assign]
    return {
        "losses": torch.tensor(losses, dtype=torch.float64),
        "validation": torch.tensor([each.validation_loss for each in records], dtype=torch.float64),
        "accuracy": torch.tensor([each.validation_accuracy for each in records], dtype=torch.float64),
        "train": torch.tensor([each.train_accuracy for each in records], dtype=torch.float64),
        **{f"weights.{name}": value.clone() for name, value in started.state_dict().items()},
    }


def first_gradients(group: Group) -> dict[str, Any]:
    """The first layer as whitened, and all gradients of the first step, of a batch that cannot be divided evenly."""
    swift._MAX_PATCHES = 4_000  # several pieces of the pictures
    plan = tiny_plan(side=8, network="swift", batch=15, optimizer="momentum")
    train = bars(61)
    network = start_network(plan, pixels=train.pixels, group=group)
    session = loop._Session(network, train, bars(8, seed=1), plan, (), None, math.inf, ignore, group)
    found: dict[str, Any] = {"stem": network.get_parameter("stem.weight").clone()}
    rows = np.arange(15)
    with session.asking():
        session._take_step(rows, epoch_draws(3, 1, 61)[rows])
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            found[name] = parameter.grad.clone()
    return found


def agreed(group: Group) -> dict[str, Any]:
    """What the processes tell each other."""
    rows = torch.arange(7.0)[:, None] * torch.ones(1, 3)
    return {
        "part": torch.tensor(np.arange(7)[group.part(7)]),
        "whole": group.whole(rows[group.part(7)], 7),
        "greatest": torch.tensor(group.greatest([group.rank, 5 - group.rank])),
        "each": group.said_by_each("é" * 400 if group.rank == 1 else f"from {group.rank}"),
        "lately": torch.tensor([group.greatest_lately([group.rank, step]) for step in (3, 4, 5)]),
        "told": [group.told(f"first from {group.rank}"), group.told(f"second from {group.rank}")],
        "content": list(group.content(bytes([group.rank + 7]) * 3)),
        "nothing": list(group.content(b"")),
    }


def heard_late(group: Group) -> dict[str, Any]:
    """The last word of a leader that has nothing more to do, to others that look for it a second later."""
    if not group.leads:
        time.sleep(1)
    return {"told": group.told("the end")}


def scored(group: Group, model: str) -> dict[str, Any]:
    """What the leader hears of a network and of a file about 13 pictures and about 1, each process asked its share."""
    plan = tiny_plan(channels=3, network="lesson")
    network = start_network(plan)
    parts = [
        Part(name, [str(row) for row in range(count)], bars(count, seed=count, channels=3))
        for name, count in (("validation", 13), ("test", 1))
    ]
    asked: list[int] = []
    run = Recognizer.run

    def noted(recognizer: Recognizer, pixels: NDArray[np.uint8]) -> Answers:
        asked.append(len(pixels))
        return run(recognizer, pixels)

    Recognizer.run = noted  # type: ignore[method-assign]
    if not group.leads:
        material: Any = SimpleNamespace(validation=parts[0], test=parts[1])
        following = Following(network, plan, material, group)
        while "ask" in (told := json_values(group.told())):
            following.follow(told)
        return {"asked": asked}
    logits = [logits_of_part(network, part, plan, group) for part in parts]
    hand_out(Path(model), group)
    recognizer = open_recognizer(model)
    answers = [answers_of_part(recognizer, part, group) for part in parts]
    group.told(json.dumps({}))
    return {
        "asked": asked,
        "logits": torch.from_numpy(np.concatenate(logits)),
        "probabilities": torch.from_numpy(np.concatenate([each.probabilities for each in answers])),
        "features": torch.from_numpy(np.concatenate([each.features for each in answers if each.features is not None])),
        "novelty": [each.novelty is None for each in answers],
    }


def streamed_run(group: Group, shards: str) -> dict[str, Any]:
    """Losses of 30 steps on shards of bars, and how many pictures were read here."""
    source = stream_of(shards)
    plan = tiny_plan(side=8, network="plain", batch=16, epochs=10)
    train, losses, read = StreamedPictures(source, 16, 1, ignore), list[float](), list[int]()
    prepared = train._prepared

    def counted(block: int, places: NDArray[np.int64]) -> Any:
        read.append(len(places))
        return prepared(block, places)

    train._prepared = counted  # type: ignore[method-assign]
    started = start_network(plan, group=group)
    session = loop._Session(started, train, bars(8, seed=1), plan, (), None, math.inf, ignore, group)
    with session.asking():
        while session.ended() is None:
            session.run_epoch(lambda: bool(losses.append(session.losses[-1])))
    train.close()
    return {"losses": torch.tensor(losses, dtype=torch.float64), "read": sum(read)}


def unread_by_the_second(group: Group, shards: str, folder: str) -> dict[str, Any]:
    """What each of two processes says, and which step it came to, where the second cannot read the third window."""
    plan, run = tiny_plan(side=8, network="plain", batch=16, epochs=10), Path(folder) if group.leads else None
    train = StreamedPictures(stream_of(shards), 16, 1, ignore, group=group)
    read = train._read

    def failing(number: int, *own: int) -> Any:
        if number == 2 and not group.leads:
            raise DataError("a.tar cannot be read: stale.")
        return read(number, *own)

    train._read = failing  # type: ignore[method-assign]
    started = start_network(plan, group=group)
    session = loop._Session(started, train, bars(8, seed=1), plan, (), run, math.inf, ignore, group)
    session.begin()
    said = ""
    try:
        with session.asking():
            while session.ended() is None:
                session.run_epoch(lambda: 0)
    except DataError as error:
        said = str(error)
    train.close()
    return {"said": said, "step": session.step, "weights": [each.detach() for each in started.parameters()]}


def stream_of(shards: str) -> Stream:
    """A stream of all shards in a folder, in small windows."""
    found = open_shards(f"{shards}/*.tar", folder=Path(shards) / "cache")
    nothing = [np.zeros(0, np.int64)] * len(found.listings)
    plan = StreamPlan(
        shards="",
        digest="",
        epoch_pictures=48,
        block=4,
        window=64,
        validation_fraction=0.1,
        test_fraction=0.1,
    )
    policy = PicturePolicy(side=8, channels=1)
    return Stream(found, found.blocks(4, nothing), nothing, frozenset(), policy, 0, plan)


def timed_together(group: Group) -> dict[str, Any]:
    """How long a step takes, as the leader asks for it, twice; the others answer until they are told what to train."""
    plan = tiny_plan(side=8, network="swift", batch=15, optimizer="muon")
    time_steps = together.timing_of(group)
    assert time_steps is not None
    if group.leads:
        seconds = [time_steps(plan), time_steps(plan.model_copy(update={"seed": 8}))]
        group.told(json.dumps({"told": "end"}))
        return {"seconds": torch.tensor(seconds)}
    timed = list[float]()
    real = together._seconds_per_step

    def noted(*given: Any) -> float:
        timed.append(real(*given))
        return timed[-1]

    together._seconds_per_step = noted
    with suppress(ValidationError):  # what ends it is no summary of a run
        together._follow(group)
    return {"seconds": torch.tensor(timed)}
