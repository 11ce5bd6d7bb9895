"""How each tool saves a state over the former one, and how it is asked for the state that is there.

All save the same: a network of 330,000 weights, each of them 1 in the first state and 2 in the second, with the state
of its optimizer. Whatever an error says at loading, the state is not there.
"""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

SIDE = 576


def trained(value: float) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network and its optimizer, all of whose numbers are ``value``."""
    network = nn.Linear(SIDE, SIDE)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, SIDE)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    fill((network.state_dict(), optimizer.state_dict()), value)
    return network, optimizer


def fill(states: object, value: float) -> None:
    """Sets every number of every tensor inside."""
    for tensor in tensors_in(states):
        tensor.data.fill_(value)


def value_of(states: object) -> int:
    """The one number of all tensors inside; -1 where they are not of one state."""
    values = {number for tensor in tensors_in(states) for number in tensor.unique().tolist()}
    return int(values.pop()) if len(values) == 1 else -1


def tensors_in(states: object) -> Iterable[torch.Tensor]:
    """Every tensor in lists and dictionaries."""
    if isinstance(states, torch.Tensor):
        yield states
    for inner in states.values() if isinstance(states, dict) else states if isinstance(states, list | tuple) else ():
        yield from tensors_in(inner)


def first_of(loaders: Iterable[Callable[[], object]]) -> int | None:
    """The value of the first state that can be loaded."""
    for load in loaders:
        try:
            return value_of(load())
        except Exception:  # noqa: BLE001, S112  # of whatever kind: there is no state
            continue
    return None


class Saver(ABC):
    """One tool."""

    package = "torch"

    def version(self) -> str:
        """Of the package."""
        return importlib.metadata.version(self.package)

    @abstractmethod
    def save(self, folder: Path, value: int) -> None:
        """Saves the state ``value`` in a folder in which there may be one already."""

    @abstractmethod
    def latest(self, folder: Path) -> int | None:
        """The state that is found where the tool says that the latest one is."""

    def any_state(self, folder: Path) -> int | None:
        """The state that is found with the help of whoever knows all files of the tool."""
        return self.latest(folder)


class Whyconv(Saver):
    """The state of a training: three are kept, the newest that is whole is used."""

    package = "whyconv"

    def save(self, folder: Path, value: int) -> None:
        """As the loop does after an epoch."""
        from whyconv.training.checkpoint import save_state
        from whyconv.training.rotation import forget_older, state_path

        network, optimizer = trained(value)
        save_state(state_path(folder, value), {"network": network.state_dict()}, optimizer, {"step": value})
        forget_older(folder)

    def latest(self, folder: Path) -> int | None:
        """As ``whyconv train --resume`` does."""
        from whyconv.training.checkpoint import load_state
        from whyconv.training.rotation import load_newest

        _, optimizer = trained(0)

        def load() -> object:
            _, (tensors, _) = load_newest(folder, lambda path: load_state(path, optimizer), lambda event: None)
            return tensors, optimizer.state_dict()

        return first_of([load])


class Torch(Saver):
    """``torch.save`` to the same path, as its tutorials and most training scripts do."""

    def save(self, folder: Path, value: int) -> None:
        """Network and optimizer in one file."""
        network, optimizer = trained(value)
        torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, folder / "state.pt")

    def latest(self, folder: Path) -> int | None:
        """``torch.load``."""
        return first_of([lambda: torch.load(folder / "state.pt")])


class Lightning(Saver):
    """``Trainer.save_checkpoint`` to the same path, as ``ModelCheckpoint(save_last=True)`` calls it."""

    package = "lightning"

    def __init__(self) -> None:
        import lightning.pytorch as lightning

        class Module(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.network = nn.Linear(SIDE, SIDE)

            def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
                return self.network(batch[0]).sum()

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.AdamW(self.parameters())

        self.trainer = lightning.Trainer(
            accelerator="cpu",
            max_steps=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        data = torch.utils.data.TensorDataset(torch.ones(1, SIDE))
        self.module = Module()
        self.trainer.fit(self.module, torch.utils.data.DataLoader(data))

    def save(self, folder: Path, value: int) -> None:
        """The whole checkpoint of the trainer."""
        optimizer = self.trainer.optimizers[0]
        fill((dict(self.module.named_parameters()), optimizer.state_dict()), value)
        self.trainer.save_checkpoint(folder / "last.ckpt")

    def latest(self, folder: Path) -> int | None:
        """``torch.load``, which is what a trainer does with it."""
        return self._load(folder / "last.ckpt")

    def _load(self, path: Path) -> int | None:
        def load() -> object:
            found = torch.load(path, weights_only=False)
            return found["state_dict"], [each["state"] for each in found["optimizer_states"]]

        return first_of([load])


class Timm(Saver):
    """``CheckpointSaver`` of timm's training script, with the folder of its checkpoints."""

    package = "timm"

    def save(self, folder: Path, value: int) -> None:
        """After epoch ``value``."""
        from timm.utils.checkpoint_saver import CheckpointSaver

        network, optimizer = trained(value)
        saver = CheckpointSaver(network, optimizer, checkpoint_dir=str(folder), recovery_dir=str(folder), max_history=3)
        saver.save_checkpoint(value, metric=float(value))

    def latest(self, folder: Path) -> int | None:
        """``last``, which its documentation resumes from."""
        return first_of([lambda: self._load(folder / "last.pth.tar")])

    def any_state(self, folder: Path) -> int | None:
        """The checkpoint of any epoch, newest first."""
        paths = [folder / "last.pth.tar", *sorted(folder.glob("checkpoint-*.pth.tar"), reverse=True)]
        return first_of([lambda path=path: self._load(path) for path in paths])  # type: ignore[misc]

    @staticmethod
    def _load(path: Path) -> object:
        found = torch.load(path, weights_only=False)
        return found["state_dict"], found["optimizer"]["state"]


class Fastai(Saver):
    """``Learner.save`` under the same name, as ``SaveModelCallback`` calls it."""

    package = "fastai"

    def save(self, folder: Path, value: int) -> None:
        """Network and optimizer."""
        from fastai.learner import save_model

        network, optimizer = trained(value)
        save_model(folder / "model.pth", network, optimizer)

    def latest(self, folder: Path) -> int | None:
        """What ``Learner.load`` reads."""

        def load() -> object:
            found = torch.load(folder / "model.pth", weights_only=False)
            return found["model"], found["opt"]["state"]

        return first_of([load])


class Accelerate(Saver):
    """``Accelerator.save_state`` into the same folder."""

    package = "accelerate"

    def save(self, folder: Path, value: int) -> None:
        """Network, optimizer and generators, a file each."""
        from accelerate import Accelerator

        accelerator = Accelerator(cpu=True)
        network, optimizer = accelerator.prepare(*trained(value))
        fill((network.state_dict(), optimizer.state_dict()), value)
        accelerator.save_state(str(folder / "state"))

    def latest(self, folder: Path) -> int | None:
        """What ``load_state`` reads."""

        def load() -> object:
            from safetensors.torch import load_file

            optimizer = torch.load(folder / "state" / "optimizer.bin", weights_only=False)
            torch.load(folder / "state" / "random_states_0.pkl", weights_only=False)
            return load_file(folder / "state" / "model.safetensors"), optimizer["state"]

        return first_of([load])


SAVERS: dict[str, Callable[[], Saver]] = {
    "whyconv": Whyconv,
    "torch": Torch,
    "lightning": Lightning,
    "timm": Timm,
    "fastai": Fastai,
    "accelerate": Accelerate,
}
