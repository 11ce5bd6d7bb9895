"""Pictures that have changed are seen before a run goes on, and named; what is no change is none."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stopped_run import begin
from tiny_training import bars, write_bars
from whyconv import workflow
from whyconv.cli import main
from whyconv.errors import DataError, ModelFileError
from whyconv.results import Event, Note
from whyconv.settings import Plan
from whyconv.training.manifest import PictureRow, compare, read_manifest, write_manifest

N = 80


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped, beside the weights that it would have come to; and a copy of all that."""
    parent = tmp_path_factory.mktemp("begun")
    place = parent / "here"
    write_bars(place / "bars", N)
    run = begin(place / "bars", place)
    straight = workflow.train_from_file(run / "run.toml", out=str(parent))
    shutil.copy(Path(straight.run) / "model.safetensors", place)
    shutil.copytree(place, parent / "as it was", copy_function=shutil.copy2)
    return place


@pytest.fixture
def place(begun: Path) -> Iterator[Path]:
    """Where the stopped run and its pictures lie, which may be changed."""
    yield begun
    shutil.rmtree(begun)
    shutil.copytree(begun.parent / "as it was", begun, copy_function=shutil.copy2)


def add(folder: Path) -> str:
    Image.fromarray(bars(1, seed=99).pixels[0, :, :, 0]).save(folder / "lies" / "new.png")
    return r"1 added \(lies/new\.png\)"


def remove(folder: Path) -> str:
    (folder / "lies" / "004.png").unlink()
    return r"1 removed \(lies/004\.png\)"


def relabel(folder: Path) -> str:
    (folder / "lies" / "004.png").rename(folder / "stands" / "004.png")
    return r"1 with another label \(stands/004\.png: lies -> stands\)"


def replace(folder: Path) -> str:
    """By a file of the same size and time."""
    path = folder / "lies" / "004.png"
    before = path.stat()
    content = bytearray(path.read_bytes())
    generator = random.Random(0)
    for seed in range(200, 400):
        Image.fromarray(bars(1, seed=seed).pixels[0, :, :, 0]).save(path)
        if path.stat().st_size == before.st_size:
            break
    else:
        content[generator.randrange(60, len(content))] ^= 1
        path.write_bytes(content)
    return r"1 with other content \(lies/004\.png\)"


def several(folder: Path) -> str:
    told = [add(folder), relabel(folder)]
    for name in ("006", "008", "010", "012"):
        (folder / "lies" / f"{name}.png").unlink()
    return rf"{told[0]}, 4 removed \(lies/006\.png, lies/008\.png, lies/010\.png, \.\.\.\), {told[1]}"


@pytest.mark.parametrize("change", [add, remove, relabel, replace, several])
def test_a_change_is_refused_before_step_1_and_named(place: Path, change: Callable[[Path], str]) -> None:
    run = place / "runs" / "bars-1"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "lock"}
    told = change(place / "bars")
    with pytest.raises(DataError, match=rf"not those of the plan: {told}\. Put them back\. Or .*--accept-changed-data"):
        workflow.resume(run)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "lock"}
    assert before == after


def touch(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        os.utime(path, (1, 1))


def copy(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("elsewhere"))
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("elsewhere"), folder)
    shutil.rmtree(folder.with_name("elsewhere"))


def link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def list_otherwise(folder: Path) -> None:
    """The system lists a folder in the order in which names came into it."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    content = {name: (folder / name).read_bytes() for name in names}
    for name in names:
        (folder / name).unlink()
    for name in reversed(names):
        (folder / name).write_bytes(content[name])


@pytest.mark.parametrize("change", [touch, copy, link, list_otherwise])
def test_what_is_no_change_is_none_and_the_run_ends_in_the_same_bits(
    place: Path, change: Callable[[Path], None]
) -> None:
    run, events = place / "runs" / "bars-1", list[Event]()
    change(place / "bars")
    workflow.resume(run, events.append)
    assert not {"run_other_names", "run_other_machine"} & {each.key for each in events if isinstance(each, Note)}
    assert (run / "model.safetensors").read_bytes() == (place / "model.safetensors").read_bytes()


def test_other_names_are_told_and_change_no_bit(place: Path) -> None:
    run, events = place / "runs" / "bars-1", list[Event]()
    for number, path in enumerate(sorted((place / "bars" / "lies").iterdir())):
        path.rename(path.with_name(f"picture {number * 7 % 40:02}.png"))
    workflow.resume(run, events.append)
    (note,) = [each for each in events if isinstance(each, Note) and each.key == "run_other_names"]
    assert note.values["n"] == N // 2
    assert "lies/000.png -> lies/picture " in note.values["names"]
    assert (run / "model.safetensors").read_bytes() == (place / "model.safetensors").read_bytes()


def test_what_is_there_now_can_be_accepted_and_is_trained_on_anew(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place / "runs" / "bars-1"
    told = several(place / "bars")
    words = [
        "train",
        "--config",
        str(run / "run.toml"),
        "--accept-changed-data",
        "--out",
        str(tmp_path),
        "--lang",
        "en",
    ]
    heard = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = [signal.getsignal(number) for number in heard]
    with pytest.raises(SystemExit) as end:
        main(words)
    for number, handler in zip(heard, before, strict=True):
        signal.signal(number, handler)
    said = capsys.readouterr().err
    assert end.value.code == 0, said
    assert re.search(f"as accepted: {told}".replace(" ", r"\s+"), said)
    old, new = Plan.read(run / "run.toml"), Plan.read(tmp_path / "bars-1" / "run.toml")
    counts = [plan.pictures.num_train + plan.pictures.num_validation + plan.pictures.num_test for plan in (old, new)]
    assert counts == [N, N + 1 - 4]
    assert old.training == new.training
    assert (old.network, old.augment, old.seed) == (new.network, new.augment, new.seed)
    # The new run is whole: it goes on by what it was made from.
    assert workflow.resume(tmp_path / "bars-1").num_epochs == 3


def test_other_classes_cannot_be_accepted(place: Path, tmp_path: Path) -> None:
    (place / "bars" / "lies").rename(place / "bars" / "rests")
    with pytest.raises(
        DataError, match=r"other classes than the plan \(new: rests; not there: lies\)\..*whyconv train "
    ):
        workflow.train_from_file(place / "runs" / "bars-1" / "run.toml", out=str(tmp_path), accept_changed_data=True)
    assert list(tmp_path.glob("bars-*")) == []


def test_a_run_without_a_list_of_its_pictures_still_sees_a_change(place: Path) -> None:
    run = place / "runs" / "bars-1"
    (run / "pictures.jsonl").unlink()
    relabel(place / "bars")
    with pytest.raises(DataError, match="not those of the plan: some were added, removed, changed or relabelled"):
        workflow.resume(run)
    (run / "pictures.jsonl").write_text("{")
    with pytest.raises(ModelFileError, match=r"pictures\.jsonl is damaged"):
        workflow.resume(run)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("my plan.toml", {"seed": 5}),
        ("../../elsewhere.toml", {"test_fraction": 0.3}),
        ("../../here and there.toml", {"validation_fraction": 0.4}),
    ],
)
def test_of_an_edited_plan_what_it_divides_otherwise_is_no_change_of_pictures(
    place: Path, tmp_path: Path, name: str, change: dict[str, object]
) -> None:
    path = (place / "runs" / "bars-1" / name).resolve()
    plan = Plan.read(place / "runs" / "bars-1" / "run.toml")
    pictures = plan.pictures.model_copy(update=change)
    edited = plan.model_copy(update=change if "seed" in change else {"pictures": pictures})
    path.write_text(edited.to_toml())
    with pytest.raises(DataError, match="divided otherwise than its digest says, by another seed") as refused:
        workflow.train_from_file(path, out=str(tmp_path))
    said = str(refused.value)
    assert "Put them back" not in said
    assert ("in another part (" in said) == (path.parent.name == "bars-1")
    (command,) = re.findall(r"whyconv (train --config .* --accept-changed-data)", said)
    assert shlex.split(command) == ["train", "--config", str(path), "--accept-changed-data"]
    again = workflow.train_from_file(path, out=str(tmp_path), accept_changed_data=True)
    made = Plan.read(Path(again.run) / "run.toml")
    assert (made.seed, made.pictures.test_fraction) == (edited.seed, edited.pictures.test_fraction)
    assert made.pictures.digest != plan.pictures.digest


def test_the_way_on_is_good_for_a_shell_whatever_folders_are_called(tmp_path: Path) -> None:
    run = begin(write_bars(tmp_path / "it's; bars", N), tmp_path)
    (tmp_path / "it's; bars" / "lies" / "004.png").unlink()
    with pytest.raises(DataError, match="1 removed") as refused:
        workflow.resume(run)
    by_plan, anew = re.findall(r"whyconv train (.*?)(?:  or by|$)", str(refused.value))
    assert shlex.split(by_plan) == ["--config", str(run / "run.toml"), "--accept-changed-data"]
    assert shlex.split(anew) == [str(tmp_path / "it's; bars")]


def write_table(folder: Path) -> Path:
    """A labels file beside a flat folder of pictures."""
    data = bars(N)
    (folder / "flat").mkdir(parents=True)
    lines = ["file,label"]
    for index, (pixels, label) in enumerate(zip(data.pixels, data.labels, strict=True)):
        Image.fromarray(pixels[:, :, 0]).save(folder / "flat" / f"{index:03}.png")
        lines.append(f"{index:03}.png,{'stands' if label else 'lies'}")
    (folder / "flat" / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder / "flat"


def test_a_table_with_another_label_or_without_a_row_is_seen(tmp_path: Path) -> None:
    flat = write_table(tmp_path)
    run = begin(flat / "labels.csv", tmp_path)
    table = (flat / "labels.csv").read_text()
    (flat / "labels.csv").write_text(table.replace("004.png,lies", "004.png,stands"))
    with pytest.raises(DataError, match=r"1 with another label \(004\.png: lies -> stands\)"):
        workflow.resume(run)
    (flat / "labels.csv").write_text(table.replace("004.png,lies\n", ""))
    with pytest.raises(DataError, match=r"1 removed \(004\.png\)"):
        workflow.resume(run)
    head, *rows = table.splitlines()
    (flat / "labels.csv").write_text("\n".join([head, *reversed(rows)]) + "\n")
    assert workflow.resume(run).num_epochs == 3


def test_an_array_with_another_pixel_label_or_order_is_seen(tmp_path: Path) -> None:
    data = bars(N)
    x, y = data.pixels[:, :, :, 0], data.labels.astype(np.int64)
    path = tmp_path / "bars.npz"
    np.savez(path, x=x, y=y)
    run = begin(path, tmp_path)
    changed = x.copy()
    changed[7, 3, 3] ^= 1
    np.savez(path, x=changed, y=y)
    with pytest.raises(DataError, match=r"1 with other content \(x\[7\]\)"):
        workflow.resume(run)
    np.savez(path, x=x, y=np.where(np.arange(N) == 7, 1 - y, y))
    with pytest.raises(DataError, match=r"1 with another label \(x\[7\]: 1 -> 0\)"):
        workflow.resume(run)
    np.savez(path, x=np.delete(x, 7, 0), y=np.delete(y, 7))
    with pytest.raises(DataError, match=rf"1 removed \(x\[7\]\), {N - 8} with another name"):
        workflow.resume(run)
    np.savez(path, x=x[::-1], y=y[::-1])
    events: list[Event] = []
    workflow.resume(run, events.append)
    assert [each.values["n"] for each in events if isinstance(each, Note) and each.key == "run_other_names"] == [N]


def test_what_became_of_each_of_many_pictures_is_told_as_it_was_done() -> None:
    """Random changes of a list, known one by one, are found again."""
    for seed in range(200):
        generator = random.Random(seed)
        before = [PictureRow(f"{n}.png", generator.choice("ab"), "train", f"{n:032x}") for n in range(60)]
        rows, expected = list(before), dict.fromkeys(("added", "removed", "replaced", "relabelled", "renamed"), 0)
        for place in generator.sample(range(60), generator.randint(0, 30)):
            kind, row = generator.choice(list(expected)), rows[place]
            expected[kind] += 1
            match kind:
                case "removed":
                    rows[place] = None  # type: ignore[call-overload]
                case "replaced":
                    rows[place] = row._replace(digest=f"{1000 + place:032x}")
                case "relabelled":
                    name = row.name if generator.random() < 0.5 else f"moved {row.name}"
                    rows[place] = row._replace(label="b" if row.label == "a" else "a", name=name)
                case "renamed":
                    rows[place] = row._replace(name=f"other {row.name}")
                case "added":
                    rows.append(PictureRow(f"new {place}.png", "a", "train", f"{2000 + place:032x}"))
        now = [row for row in rows if row is not None]
        generator.shuffle(now)
        found = compare(before, now)
        assert {kind: len(getattr(found, kind)) for kind in expected} == expected, seed
        assert found.moved == []


def test_names_of_any_kind_are_kept(tmp_path: Path) -> None:
    rows = [PictureRow(name, "a\nb", "test", "0" * 32) for name in ("a,b\n", "\udcff.png", '"', "\u202e", "{}")]
    write_manifest(tmp_path, rows)
    assert read_manifest(tmp_path) == rows
    assert [json.loads(line)["name"] for line in (tmp_path / "pictures.jsonl").read_text().splitlines()]
