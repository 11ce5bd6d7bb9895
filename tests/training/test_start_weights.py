"""Starting weights from a file: what fits is used, what does not is told, pickles are refused with the way out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tiny_training import tiny_plan, write_bars
from whyconv import files, workflow
from whyconv.errors import ModelFileError, UsageError
from whyconv.nets import build_network
from whyconv.results import Note
from whyconv.settings import Plan
from whyconv.training.start import start_network
from whyconv.training.start_weights import find_start_weights, put_start_weights


def state_of(name: str, num_classes: int, seed: int = 7) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    network = build_network(name, in_channels=1, num_classes=num_classes, side=16)
    return {key: value.clone() for key, value in network.state_dict().items()}


def put(path: Path, tensors: dict[str, Tensor], network: nn.Module, num_classes: int) -> list[Note]:
    save_file(tensors, path)
    notes: list[Note] = []
    put_start_weights(path, network, num_classes=num_classes, notify=notes.append)
    return notes


def network_of(name: str, num_classes: int) -> nn.Module:
    return build_network(name, in_channels=1, num_classes=num_classes, side=16)


@pytest.mark.parametrize("name", ["lenet5", "plain"])
def test_all_tensors_of_a_file_that_fits_are_used(name: str, tmp_path: Path) -> None:
    state, network = state_of(name, 5), network_of(name, 5)
    notes = put(tmp_path / "w.safetensors", state, network, 5)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert [(note.key, note.values["n"]) for note in notes] == [("start_weights", len(state))]


@pytest.mark.parametrize(("name", "layer"), [("lenet5", "fc3"), ("plain", "head"), ("mobilenet_v2", "classifier.1")])
def test_only_a_last_layer_for_another_number_of_classes_starts_anew_and_it_is_told(name, layer, tmp_path) -> None:
    state, network = state_of(name, 1000), network_of(name, 3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    notes = put(tmp_path / "w.safetensors", state, network, 3)
    anew = {f"{layer}.weight", f"{layer}.bias"}
    for key, value in network.state_dict().items():
        assert torch.equal(value, (before if key in anew else state)[key])
    assert [note.key for note in notes] == ["start_weights", "start_last_layer_anew"]
    assert notes[1].values == {"layer": layer, "had": 1000, "wanted": 3, "file": "w.safetensors"}


def test_every_mismatch_is_told_at_once_and_nothing_is_changed(tmp_path: Path) -> None:
    state, network = state_of("lenet5", 10), network_of("lenet5", 3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state["conv3.weight"] = state.pop("conv2.weight")
    state["fc1.weight"] = state["fc1.weight"][:, :-1].contiguous()
    state["fc2.bias"] = torch.zeros(84, dtype=torch.int64)
    with pytest.raises(ModelFileError) as caught:
        put(tmp_path / "w.safetensors", state, network, 3)
    assert str(caught.value).splitlines()[1:] == [
        "  conv2.weight: missing, expected 16 x 6 x 5 x 5",
        "  conv3.weight: not known, the file has 16 x 6 x 5 x 5",
        "  fc1.weight: the file has 120 x 15, expected 120 x 16",
        "  fc2.bias: the file has torch.int64, expected torch.float32",
    ]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_last_layer_that_differs_in_more_than_the_classes_is_a_mismatch(tmp_path: Path) -> None:
    state, network = state_of("lenet5", 10), network_of("lenet5", 3)
    state["fc3.weight"] = torch.zeros(10, 80)
    with pytest.raises(ModelFileError, match=r"fc3.weight: the file has 10 x 80, expected 3 x 84(.|\n)*fc3.bias"):
        put(tmp_path / "w.safetensors", state, network, 3)


def test_names_that_all_begin_with_one_word_too_many_are_explained(tmp_path: Path) -> None:
    state = {f"module.{key}": value for key, value in state_of("lenet5", 3).items()}
    with pytest.raises(ModelFileError, match=r"every name begins with 'module.'; take that off"):
        put(tmp_path / "w.safetensors", state, network_of("lenet5", 3), 3)


def test_auxiliary_heads_and_missing_counters_are_no_mismatch(tmp_path: Path) -> None:
    state = {key: value for key, value in state_of("googlenet", 3).items() if "num_batches" not in key}
    state |= {"aux1.fc1.weight": torch.zeros(4, 4), "aux2.fc1.bias": torch.zeros(4)}
    notes = put(tmp_path / "w.safetensors", state, network_of("googlenet", 3), 3)
    assert [note.key for note in notes] == ["start_weights", "start_unused"]
    assert notes[1].values == {"n": 2, "file": "w.safetensors", "name": "aux1.fc1.weight"}


@pytest.mark.parametrize("name", ["resnet18-f37072fd.pth", "renamed.safetensors"])
def test_a_pickle_is_refused_with_three_lines_that_convert_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    state = state_of("lenet5", 3)
    state["conv2.weight"] = state["conv2.weight"].contiguous(memory_format=torch.channels_last)
    state["fc2.bias"] = state["fc1.bias"][:84]  # in the memory of another
    torch.save(state, path)
    with pytest.raises(UsageError, match="can run code") as caught:
        find_start_weights(path)
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert len(lines) == 3
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
    converted = path.with_name(f"{path.stem}-converted.safetensors")
    assert find_start_weights(converted) == converted
    network = network_of("lenet5", 3)
    put_start_weights(converted, network, num_classes=3, notify=lambda note: None)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_what_is_not_there_or_damaged_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no starting weights in"):
        find_start_weights(tmp_path / "none.safetensors")
    with pytest.raises(ModelFileError, match="no starting weights in"):
        find_start_weights(tmp_path)
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelFileError, match="damaged or no safetensors"):
        put_start_weights(path, network_of("lenet5", 3), num_classes=3, notify=lambda note: None)


def test_a_plan_knows_its_file_by_content(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = state_of("lenet5", 2)
    save_file(state, path)
    plan = tiny_plan(side=16, network="lenet5")
    started = plan.network.model_copy(update={"start": str(path), "start_digest": files.digest(path)})
    plan = plan.model_copy(update={"network": started})
    assert torch.equal(start_network(plan).conv1.weight, state["conv1.weight"])
    assert not torch.equal(start_network(plan, reads_file=False).conv1.weight, state["conv1.weight"])
    save_file(state_of("lenet5", 2, seed=8), path)
    with pytest.raises(ModelFileError, match="its content has changed"):
        start_network(plan)
    path.unlink()
    with pytest.raises(ModelFileError, match="does not exist"):
        start_network(plan)


def test_a_run_that_starts_from_a_file_is_repeated_bit_for_bit_and_can_do_without_it_once_it_is_done(tmp_path) -> None:
    pictures = write_bars(tmp_path / "bars", 40, side=16)
    asked = {"network": "lenet5", "epochs": 1, "batch": 8, "flips": "off", "threads": 1, "only_model": True}
    asked |= {"out": str(tmp_path / "runs"), "store": str(tmp_path / "store")}
    other = tmp_path / "other-run"
    other.mkdir()
    save_file(state_of("lenet5", 2), other / "model.safetensors")
    notes: list[Note] = []
    first = workflow.train(str(pictures), notes.append, start=str(other), **asked)
    told = [note for note in notes if isinstance(note, Note) and note.key == "start_weights"]
    assert [note.values["file"] for note in told] == ["model.safetensors"]
    plan = Plan.read(Path(first.run) / "run.toml")
    assert plan.network.start == str(other.resolve() / "model.safetensors")
    assert plan.network.start_digest == files.digest(Path(plan.network.start))
    assert plan.training.learning_rate == pytest.approx(0.0006 * (8 / 16) ** 0.5)
    second = workflow.train_from_file(Path(first.run) / "run.toml", out=str(tmp_path / "runs"))
    weights = [(Path(each.run) / "model.safetensors").read_bytes() for each in (first, second)]
    assert weights[0] == weights[1]
    random = start_network(plan, reads_file=False)
    assert not torch.equal(random.conv1.weight, start_network(plan).conv1.weight)
    Path(plan.network.start).unlink()
    assert workflow.resume(Path(first.run)).num_steps == first.num_steps
    with pytest.raises(ModelFileError, match="does not exist"):
        workflow.train_from_file(Path(first.run) / "run.toml", out=str(tmp_path / "runs"))
