"""Shards: which a word names, what lies in them, what a sample of them is, and errors that say what is wrong."""

import io
import tarfile

import numpy as np
import pytest

from shard_files import number_of, picture, served, write_numbered, write_parquet, write_tar
from whyconv.errors import DataError, MissingExtraError, PictureError, UsageError
from whyconv.images.cache import list_stores, remove_stores
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.shards import are_shards, draw_sample, expand, listing, open_shards, places
from whyconv.images.shards.sample import write_sample
from whyconv.images.sources import PART_NAMES, read_pictures
from whyconv.inspection import inspect

POLICY = PicturePolicy(side=4, channels=3)


def everything(shards):
    """Number and class of every picture, shard by shard, read as a stream reads."""
    for number, each in enumerate(shards.listings):
        rows = np.arange(each.count)
        contents = list(shards.read(number, rows))
        for content, label in zip(contents, shards.labels(number), strict=True):
            yield int(number_of(prepare(content, POLICY)[None])[0]), shards.classes[label]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a-{00..02}.tar", ["a-00.tar", "a-01.tar", "a-02.tar"]),
        ("{a,b}-{8..10}.tar", ["a-8.tar", "a-9.tar", "a-10.tar", "b-8.tar", "b-9.tar", "b-10.tar"]),
        ("a-00.tar::b-8.tar::a-00.tar", ["a-00.tar", "b-8.tar", "a-00.tar"]),
        ("a-?0.tar", ["a-00.tar", "a-10.tar"]),
        ("*-1*.tar", ["a-10.tar", "b-10.tar"]),
    ],
)
def test_one_word_names_many_shards(tmp_path, monkeypatch, text, names):
    monkeypatch.chdir(tmp_path)
    for name in [
        *(f"a-{number:02d}.tar" for number in range(3)),
        "a-10.tar",
        *(f"{c}-{n}.tar" for c in "ab" for n in (8, 9, 10)),
    ]:
        (tmp_path / name).touch()
    assert are_shards(text)
    assert expand(text) == names
    assert expand(f"{tmp_path.as_uri()}/a-00.tar") == [f"{tmp_path}/a-00.tar"]


def test_what_exists_is_read_as_ever(tmp_path):
    for name in ("a-{0..1}.tar", "b*.tar"):
        (tmp_path / name).touch()
        assert not are_shards(str(tmp_path / name))
    assert not are_shards("pictures/")
    assert not are_shards("a{b}/")
    assert are_shards("s3://bucket/a.tar")


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("none-*.tar", DataError, "fits no file"),
        ("none-{0..1}.tar", DataError, "none-0.tar does not exist"),
        ("a-{0..1.tar", UsageError, "brace is open"),
        ("a-{3..1}.tar", UsageError, "no range"),
        ("a-{0..200000}.tar", UsageError, "no range"),
        ("a-{0..999}{0..999}.tar", DataError, "does not exist"),
        ("ftp://host/a.tar", UsageError, "ftp:// is not read"),
        ("htp://host/a.tar", UsageError, "Did you mean"),
        ("s3://bucket/a.zip", UsageError, "is no shard"),
    ],
)
def test_words_that_name_nothing_are_refused(text, error, said):
    with pytest.raises(error, match=said):
        expand(text)


def test_more_shards_than_can_be_meant_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a.tar").touch()
    monkeypatch.setattr(places, "MOST_SHARDS", 3)
    with pytest.raises(UsageError, match="more than 3 shards"):
        expand("::".join([str(tmp_path / "a.tar")] * 4))


def test_a_listing_is_what_a_folder_of_samples_holds(tmp_path):
    text = write_numbered(tmp_path / "s", (40, 1, 30))
    shards, read = open_shards(text, folder=tmp_path / "cache"), read_pictures(tmp_path / "s")
    assert shards.classes == read.classes
    contents = [read.read(row) for row in range(len(read))]
    assert [bytes(each) for n in range(3) for each in shards.read(n, np.arange(shards.listings[n].count))] == contents
    assert np.concatenate([shards.labels(number) for number in range(3)]).tolist() == read.labels.tolist()
    assert shards.counts.sum(axis=0).tolist() == np.bincount(read.labels).tolist()
    assert shards.num_bytes == sum(path.stat().st_size for path in (tmp_path / "s").iterdir())


def test_other_members_no_labels_and_json_are_told_apart(tmp_path):
    path = tmp_path / "x-0.tar"
    write_tar(path, [("a", picture(1), None), ("b", picture(2), "cat"), ("c", picture(3), "")])
    with tarfile.open(path, "a") as archive:
        for name, data in {
            "d.json": b'{"label": "dog", "w": 3}',
            "d.jpg": picture(4),
            "e.txt": b"text",
            "e.cls": b"cat",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    shards = open_shards(f"{tmp_path}/x-*.tar", folder=tmp_path / "cache")
    assert shards.classes == ("cat", "dog")
    assert shards.labels(0).tolist() == [-1, 0, -1, 1]
    assert shards.counts.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("members", "label"),
    [
        ({"json": b'{"label": 3}', "png": None, "cls": b"cat"}, "cat"),
        ({"cls": b"cat", "json": b'{"label": 3}', "png": None}, "cat"),
        ({"json": b"[1, 2]", "png": None, "cls": b"cat"}, "cat"),
        ({"json": b'{"label": "dog"}', "cls": b" ", "png": None}, "dog"),
        ({"png": None, "json": b'{"w": 3}', "cls": b""}, None),
    ],
)
def test_labels_of_a_sample_are_judged_as_in_a_folder_in_whichever_order_they_lie(tmp_path, members, label):
    path = write_tar(tmp_path / "s" / "x-0.tar", [("a", picture(1), "owl")])
    with tarfile.open(path, "a") as archive:
        for ending, content in members.items():
            info = tarfile.TarInfo(f"b.{ending}")
            data = picture(2) if content is None else content
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    shards = open_shards(f"{tmp_path}/s/x-*.tar", folder=tmp_path / "cache")
    read = read_pictures(tmp_path / "s")
    assert [shards.classes[each] if each >= 0 else None for each in shards.labels(0)] == ["owl", label]
    assert shards.labels(0).tolist() == read.labels.tolist()


def test_parquet_shards_are_read_by_row_groups(tmp_path):
    write_parquet(tmp_path / "p-0.parquet", range(35))
    write_parquet(tmp_path / "p-1.parquet", range(35, 41), group=100)
    shards = open_shards(f"{tmp_path}/p-*.parquet", folder=tmp_path / "cache")
    assert list(everything(shards)) == [(number, f"c{number % 3}") for number in range(41)]
    blocks = shards.blocks(8, [np.zeros(0, int)] * 2)
    assert blocks.count.tolist() == [10, 10, 10, 5, 6]


def test_parquet_with_labels_that_are_none_or_damaged_is_refused(tmp_path):
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "p-0.parquet"
    values = [{"bytes": picture(number), "path": None} for number in range(4)]
    parquet.write_table(pyarrow.table({"image": values, "label": [["a"], ["b"], ["a"], ["b"]]}), path)
    with pytest.raises(DataError, match="row 1 of row group 1: the label is"):
        open_shards(f"{tmp_path}/p-*.parquet", folder=tmp_path / "cache")
    parquet.write_table(
        pyarrow.table({"image": values, "label": [f"{n}" * 40 for n in range(4)]}), path, compression="NONE"
    )
    content = bytearray(path.read_bytes())
    at = content.index(b"0" * 40)
    content[at - 60 : at + 100] = bytes(160)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        open_shards(f"{tmp_path}/p-*.parquet", folder=tmp_path / "cache")


def test_a_server_that_breaks_off_is_told(tmp_path, monkeypatch):
    class Breaking(io.BytesIO):
        def read(self, *words):
            raise RuntimeError("the connection broke")

    monkeypatch.setattr(places, "_system", lambda place: (Elsewhere(), "a.tar"))

    class Elsewhere:
        def info(self, path):
            return {"size": 5000}

        def open(self, path, mode, **words):
            return Breaking(bytes(5000))

    with pytest.raises(DataError, match=r"s3://b/a\.tar cannot be read: the connection broke"):
        open_shards("s3://b/a.tar", folder=tmp_path / "cache")


def test_words_are_good_in_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_numbered(tmp_path / "s", (3, 3))
    shards = open_shards("s/pics-{000..001}.tar::s/*.tar", folder=tmp_path / "cache")
    assert shards.asked == f"{tmp_path}/s/pics-{{000..001}}.tar::{tmp_path}/s/*.tar"
    assert places.absolute("s3://b/a.tar::file:///x/b.tar") == "s3://b/a.tar::file:///x/b.tar"
    monkeypatch.chdir(tmp_path / "s")
    assert open_shards(shards.asked, folder=tmp_path / "cache").digest == shards.digest


def test_only_training_reads_shards(tmp_path):
    with pytest.raises(UsageError, match="names shards, which `whyconv train` alone reads"):
        inspect(write_numbered(tmp_path, (3,)), store=tmp_path / "cache")


def test_a_shard_is_listed_once_and_anew_when_it_has_changed(tmp_path, monkeypatch):
    write_numbered(tmp_path, (5, 5))
    text = "::".join([str(tmp_path / "pics-000.tar"), str(tmp_path / "pics-001.tar"), str(tmp_path / "pics-000.tar")])
    listed = []
    rows = listing._tar_rows
    monkeypatch.setattr(listing, "_tar_rows", lambda place, *rest: (listed.append(place), rows(place, *rest))[1])
    first = open_shards(text, folder=tmp_path / "cache")
    assert len(listed) == 2
    assert [each.count for each in first.listings] == [5, 5, 5]
    assert open_shards(text, folder=tmp_path / "cache").digest == first.digest
    assert len(listed) == 2
    write_tar(tmp_path / "pics-000.tar", [("z", picture(9), "c1"), ("y", picture(8), "c0")])
    changed = open_shards(text, folder=tmp_path / "cache")
    assert len(listed) == 3
    assert [each.count for each in changed.listings] == [2, 5, 2]
    assert changed.digest != first.digest


def test_a_damaged_listing_is_made_anew(tmp_path):
    text = write_numbered(tmp_path, (5,))
    shards = open_shards(text, folder=tmp_path / "cache")
    shards.listings[0].path.write_bytes(b"half")
    assert list(everything(open_shards(text, folder=tmp_path / "cache"))) == list(everything(shards))


def test_listings_are_in_the_cache_and_go_with_it(tmp_path):
    open_shards(write_numbered(tmp_path, (5, 5)), folder=tmp_path / "cache")
    assert [entry.kind for entry in list_stores(tmp_path / "cache")] == ["shards", "shards"]
    assert len(remove_stores(tmp_path / "cache", where=tmp_path / "pics-000.tar")) == 1
    remove_stores(tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no tar at all" * 100, "cannot be read as tar"),
        (b"", "cannot be read as tar"),
        (None, "holds no pictures"),
    ],
)
def test_damaged_and_empty_shards_say_so(tmp_path, content, said):
    path = tmp_path / "d-0.tar"
    if content is None:
        write_tar(path, [])
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        open_shards(f"{tmp_path}/d-*.tar", folder=tmp_path / "cache")


def test_a_shard_that_was_cut_off_is_refused(tmp_path):
    path = write_tar(tmp_path / "d-0.tar", [(f"{n}", picture(n, 64), "x") for n in range(40)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 - 700])
    with pytest.raises(DataError, match=r"d-0.tar cannot be read"):
        open_shards(f"{tmp_path}/d-*.tar", folder=tmp_path / "cache")


def test_links_in_shards_and_broken_labels_are_refused(tmp_path):
    path = write_tar(tmp_path / "l-0.tar", [("a", picture(1), "x")])
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("b.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match="is a link"):
        open_shards(f"{tmp_path}/l-*.tar", folder=tmp_path / "cache")
    write_tar(path, [("a", picture(1), "x")])
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("b.json")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"{oops"))
    with pytest.raises(DataError, match=r"b\.json is no label"):
        open_shards(f"{tmp_path}/l-*.tar", folder=tmp_path / "cache")


def test_no_label_at_all_is_refused(tmp_path):
    write_tar(tmp_path / "n-0.tar", [("a", picture(1), None)])
    with pytest.raises(DataError, match="no picture has a label"):
        open_shards(f"{tmp_path}/n-*.tar", folder=tmp_path / "cache")


def test_a_shard_that_shrank_is_told_when_it_is_read(tmp_path):
    shards = open_shards(write_numbered(tmp_path, (20,)), folder=tmp_path / "cache")
    (tmp_path / "pics-000.tar").write_bytes(b"short")
    with pytest.raises(DataError, match="has become shorter"):
        list(shards.read(0, np.arange(20)))
    (tmp_path / "pics-000.tar").unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(shards.read(0, np.arange(20)))


def test_a_picture_that_is_too_large_is_only_refused_itself(tmp_path, monkeypatch):
    from whyconv.images.shards import shards as module

    path = write_tar(
        tmp_path / "big-0.tar", [("a", picture(1), "x"), ("b", picture(2) + bytes(5000), "x"), ("c", picture(3), "y")]
    )
    shards = open_shards(f"{path}::{path}", folder=tmp_path / "cache")
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 4000)
    found = list(shards.read(0, np.arange(3)))
    assert [isinstance(each, PictureError) for each in found] == [False, True, False]


def test_a_sample_is_of_all_classes_and_its_parts_share_nothing(tmp_path):
    counts = (400, 400, 30)
    shards = open_shards(write_numbered(tmp_path / "s", counts, num_classes=40), folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=1, validation_fraction=0.1, test_fraction=0.2)
    rows = {part: {tuple(row) for row in sample.rows[part].tolist()} for part in sample.rows}
    assert {PART_NAMES[part]: len(own) for part, own in rows.items()} == {
        "train": 830 - 83 - 166,
        "validation": 83,
        "test": 166,
    }
    assert not rows[1] & rows[2]
    assert not rows[1] & rows[3]
    assert not rows[2] & rows[3]
    again = draw_sample(shards, seed=1, validation_fraction=0.1, test_fraction=0.2)
    assert all(np.array_equal(again.rows[part], sample.rows[part]) for part in rows)
    other = draw_sample(shards, seed=2, validation_fraction=0.1, test_fraction=0.2)
    assert not np.array_equal(other.rows[3], sample.rows[3])
    write_sample(shards, sample, tmp_path / "sample")
    read = read_pictures(tmp_path / "sample")
    assert read.classes == shards.classes
    assert np.bincount(read.parts).tolist() == [0, 581, 83, 166]
    seen = {int(number_of(prepare(read.read(row), POLICY)[None])[0]): read.labels[row] for row in range(len(read))}
    assert seen == {number: number * 40 // 830 for number in range(830)}


def test_rare_classes_are_added_to_what_is_shown(tmp_path, monkeypatch):
    from whyconv.images.shards import sample as module

    monkeypatch.setattr(module, "MOST_SHOWN", 20)
    shards = open_shards(write_numbered(tmp_path, (300, 300), num_classes=60), folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=0, validation_fraction=0.1, test_fraction=0.1)
    labels = np.concatenate([shards.labels(n)[sample.rows[1][sample.rows[1][:, 0] == n, 1]] for n in range(2)])
    assert np.bincount(labels, minlength=60).min() == 2
    kept = {tuple(row) for part in (2, 3) for row in sample.rows[part].tolist()}
    assert not kept & {tuple(row) for row in sample.rows[1].tolist()}


def test_every_picture_is_as_likely_to_be_drawn(tmp_path):
    shards = open_shards(write_numbered(tmp_path, (30, 90)), folder=tmp_path / "cache")
    drawn = np.zeros(120)
    for seed in range(400):
        rows = draw_sample(shards, seed=seed, validation_fraction=0.0, test_fraction=0.25).rows[3]
        drawn[rows[:, 1] + 30 * rows[:, 0]] += 1
    # Binomial(400, 1/4): deviation 8.7; of 120 the farthest lies within 4 of them but for 1 in 130 tries.
    assert drawn.sum() == 400 * 30
    assert abs(drawn - 100).max() < 4 * 8.7


def test_parts_that_shards_have_by_name_are_kept(tmp_path):
    write_numbered(tmp_path, (50, 50), name="train")
    write_numbered(tmp_path, (20,), name="val")
    write_numbered(tmp_path, (30,), name="test")
    shards = open_shards(f"{tmp_path}/*.tar", folder=tmp_path / "cache")
    assert sorted(PART_NAMES[each.part] for each in shards.listings) == ["test", "train", "train", "validation"]
    sample = draw_sample(shards, seed=0, validation_fraction=0.1, test_fraction=0.1)
    for part, count in ((1, 100), (2, 20), (3, 30)):
        assert len(sample.rows[part]) == count
        assert {shards.listings[number].part for number in sample.rows[part][:, 0]} == {part}
    assert sorted(shards.blocks(7, sample.left_out(shards)).shard.tolist()) == [1] * 8 + [2] * 8


def test_where_all_shards_are_called_test_the_name_is_no_part(tmp_path):
    shards = open_shards(write_numbered(tmp_path / "test", (50, 50), name="val"), folder=tmp_path / "cache")
    assert shards.parts == [0, 0]
    sample = draw_sample(shards, seed=0, validation_fraction=0.1, test_fraction=0.1)
    assert {part: len(rows) for part, rows in sample.rows.items()} == {3: 10, 2: 10, 1: 80}


def test_shards_of_a_server_are_read_in_parts(tmp_path):
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    write_numbered(tmp_path / "s", (40, 30))
    write_parquet(tmp_path / "s" / "p.parquet", range(100, 125))
    with served(tmp_path / "s") as address:
        text = f"{address}/pics-{{000..001}}.tar?signed=yes::{address}/p.parquet"
        shards = open_shards(text, folder=tmp_path / "cache")
        wanted = [(number, f"c{number * 3 // 70}") for number in range(70)] + [
            (n, f"c{n % 3}") for n in range(100, 125)
        ]
        assert list(everything(shards)) == wanted
        assert open_shards(text, folder=tmp_path / "cache").digest == shards.digest
        with pytest.raises(DataError, match="cannot be read"):
            open_shards(f"{address}/missing.tar", folder=tmp_path / "cache")
    with pytest.raises(DataError, match="cannot be read"):
        list(shards.read(0, np.arange(3)))


def test_a_protocol_whose_package_is_missing_names_it(tmp_path):
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError, match="s3fs"):
        open_shards("s3://bucket/a.tar", folder=tmp_path)


def test_without_what_reads_urls_the_extra_is_named(monkeypatch):
    import importlib

    real = importlib.import_module

    def without(name, *rest):
        if name.startswith("fsspec"):
            raise ModuleNotFoundError(name=name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingExtraError, match=r"whyconv\[remote\]"):
        open_shards("s3://bucket/a.tar")
