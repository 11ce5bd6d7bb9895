"""Planted copies are found, other pictures are not; what stands for a group fits every copy in it."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from drawn_pictures import encode
from scenes import copies, cropped, jpeg, pictures_of, png, resized, scene
from whyconv.images.duplicates import find
from whyconv.images.likeness import detail_of
from whyconv.images.sources import read_pictures
from whyconv.images.survey import survey


def found_in(pictures, cache=None):
    looked = survey(pictures, store=cache)
    return find(looked, pictures)


def found_among(tmp_path, files):
    """Groups and mirrored pairs as names, and the pictures."""
    pictures = pictures_of(tmp_path / "data", {f"class/{name}": content for name, content in files.items()})
    found = found_in(pictures, tmp_path / "cache")
    names = [name.removeprefix("class/") for name in pictures.names]
    groups = [[names[index] for index in members] for members in found.members()]
    return groups, [tuple(names[index] for index in pair) for pair in found.mirrored.tolist()], found


def test_the_same_bytes_are_grouped(tmp_path):
    content = png(scene(1))
    groups, mirrored, found = found_among(tmp_path, {"a.png": content, "b.png": png(scene(2)), "c.png": content})
    assert groups == [["a.png", "c.png"]]
    assert mirrored == []
    assert found.is_exact.all()


def test_the_same_pixels_in_another_container_are_an_exact_copy(tmp_path):
    image = scene(1)
    files = {"a.png": png(image), "b.bmp": encode(image, "BMP"), "c.tif": encode(image, "TIFF")}
    groups, _, found = found_among(tmp_path, files)
    assert groups == [["a.png", "b.bmp", "c.tif"]]
    assert found.is_exact.all()


def test_copies_that_are_not_exact_are_found_and_called_near(tmp_path):
    image = scene(1, 240, 180)
    made = list(copies(image))
    files = {"0 original.png": png(image), **{f"{i}.jpg": content for i, (_, content) in enumerate(made, start=1)}}
    files |= {f"other {seed}.png": png(scene(seed, 240, 180)) for seed in range(50, 60)}
    groups, _, found = found_among(tmp_path, files)
    assert len(groups) == 1
    # The largest stands for the group: the one that was enlarged.
    enlarged = next(i for i, (kind, content) in enumerate(made, start=1) if len(content) and kind == "resized") + 2
    assert groups[0][0] == f"{enlarged}.jpg"
    assert set(groups[0]) == {"0 original.png", *(f"{i}.jpg" for i in range(1, len(made) + 1))}
    assert found.is_exact.sum() == 11


def test_different_pictures_are_not_grouped(tmp_path):
    groups, mirrored, found = found_among(tmp_path, {f"{i}.png": png(scene(i)) for i in range(60)})
    assert (groups, mirrored) == ([], [])
    assert found.group.tolist() == list(range(60))


def test_another_object_before_the_same_background_is_another_picture(tmp_path):
    files = {}
    for number in range(12):
        image = scene(1, 200, 200)
        shape = scene(100 + number, 60, 60)
        image.paste(shape, (20 + 10 * number, 100 - 5 * number))
        files[f"{number}.png"] = png(image)
    groups, _, _ = found_among(tmp_path, files)
    assert groups == []


def test_a_small_object_is_enough_of_a_difference(tmp_path):
    """Nine tenths of the picture agree to the pixel: the worst tile decides, not the mean."""
    background = np.asarray(scene(1, 200, 200))
    changed = background.astype(int)
    detail = detail_of(np.moveaxis(background, -1, 0)[None].astype(np.float32))[0]
    changed[75:100, 50:75] += round(0.8 * detail)
    changed = changed.clip(0, 255).astype(np.uint8)
    files = {"a.png": encode(background, "PNG"), "b.png": encode(changed, "PNG")}
    groups, _, _ = found_among(tmp_path, files)
    assert groups == []


def test_another_color_is_another_picture(tmp_path):
    image = scene(1)
    red, green, blue = image.split()
    files = {"a.png": png(image), "b.png": png(Image.merge("RGB", (blue, red, green)))}
    assert found_among(tmp_path, files)[0] == []


def test_small_pictures_are_known_by_their_brightness_where_compression_took_their_colors(tmp_path):
    """A JPEG keeps every other column and row of the colors: at 32 pixels that is all of some objects."""
    pattern = np.random.default_rng(0).normal(0, 1, (12, 32, 32, 1))
    tint = np.random.default_rng(1).choice([-1.0, 1.0], (12, 32, 32, 1))
    # Red less blue, of no weight in brightness as JPEG has it: 0.299 R + 0.587 G + 0.114 B.
    colored = 128 + 45 * pattern + 30 * tint * np.array([1, -0.299 / 0.587, 0])
    images = [Image.fromarray(each) for each in colored.clip(0, 255).astype(np.uint8)]
    files = {f"{i}.png": png(image) for i, image in enumerate(images)}
    files |= {f"{i}.jpg": jpeg(image, 75) for i, image in enumerate(images)}
    groups, _, _ = found_among(tmp_path, files)
    assert sorted(map(sorted, groups)) == sorted([f"{i}.jpg", f"{i}.png"] for i in range(12))


def test_two_skies_are_not_one_picture(tmp_path):
    y, x = np.mgrid[0:1:120j, 0:1:160j]
    files = {}
    for number in range(8):
        level = 90 + 100 * y**0.9 + 8 * number * x
        noise = np.random.default_rng(number).normal(0, 1, (120, 160, 3))
        sky = (level[..., None] * [0.7, 0.9, 1] + noise).clip(0, 255).astype(np.uint8)
        files[f"{number}.png"] = encode(sky, "PNG")
    assert found_among(tmp_path, files)[0] == []


def test_blank_pictures_are_compared_exactly_only(tmp_path):
    def blank(level):
        return encode(np.full((64, 64, 3), level, np.uint8), "PNG")

    groups, mirrored, _ = found_among(tmp_path, {"a.png": blank(20), "b.png": blank(21), "c.png": blank(20)})
    assert groups == [["a.png", "c.png"]]
    assert mirrored == []


def test_faint_pictures_are_compared_exactly_only(tmp_path):
    """Three gray levels of detail are what compression leaves of anything."""
    faint = (np.asarray(scene(1), np.float32) - 128) * 0.03
    files = {f"{level}.png": encode((faint + level).astype(np.uint8), "PNG") for level in (100, 120)}
    assert found_among(tmp_path, files)[0] == []


def test_below_32_pixels_only_exact_copies_count(tmp_path):
    large = scene(1, 320, 320)
    small, smaller = large.resize((32, 32)), large.resize((31, 31))
    changed = {name: np.array(image) for name, image in (("small", small), ("smaller", smaller))}
    for pixels in changed.values():
        pixels[3, 3] ^= 1
    files = {"1.png": png(small), "2.png": encode(changed["small"], "PNG")}
    files |= {"3.png": png(smaller), "4.png": encode(changed["smaller"], "PNG"), "5.png": png(smaller)}
    assert found_among(tmp_path, files)[0] == [["1.png", "2.png"], ["3.png", "5.png"]]


def test_mirror_images_are_reported_and_not_grouped(tmp_path):
    files = {f"{i}.png": png(scene(i)) for i in range(20)}
    files |= {f"m{i}.jpg": jpeg(ImageOps.mirror(scene(i)), 80) for i in range(20)}
    groups, mirrored, _ = found_among(tmp_path, files)
    assert groups == []
    assert set(mirrored) == {(f"{i}.png", f"m{i}.jpg") for i in range(20)}


def test_a_symmetric_picture_is_not_its_own_mirror_image(tmp_path):
    half = scene(1, 80, 120)
    image = Image.new("RGB", (160, 120))
    image.paste(half, (0, 0))
    image.paste(ImageOps.mirror(half), (80, 0))
    _, mirrored, _ = found_among(tmp_path, {"a.png": png(image), "b.jpg": jpeg(image, 80), "c.png": png(scene(2))})
    assert mirrored == []


def test_a_chain_of_small_steps_is_cut(tmp_path):
    """A slow pan: each frame is a copy of the next, the first and the last show different things."""
    wide = scene(1, 1200, 240)
    files = {f"{i:02}.png": png(wide.crop((8 * i, 0, 8 * i + 240, 240))) for i in range(40)}
    groups, _, _ = found_among(tmp_path, files)
    assert len(groups) > 3
    for group in groups:
        frames = [int(name[:2]) for name in group]
        # 8 pixels of 240 a step: no copy is further than 15 % from the one that stands for it.
        assert max(abs(frame - frames[0]) for frame in frames) * 8 / 240 < 0.15


def test_what_is_found_does_not_depend_on_order_or_names(tmp_path):
    contents = [content for seed in range(3) for content in [png(scene(seed)), *(c for _, c in copies(scene(seed)))]]
    random = np.random.default_rng(0)
    results = []
    for attempt in range(2):
        order = random.permutation(len(contents))
        names = [f"class/{place:03}" for place in range(len(contents))]
        pictures = pictures_of(tmp_path / str(attempt), {names[p]: contents[i] for p, i in enumerate(order.tolist())})
        found = found_in(pictures, tmp_path / f"cache{attempt}")
        rank = order[[names.index(name) for name in pictures.names]]
        results.append({frozenset(rank[m].tolist()): int(rank[m[0]]) for m in found.members()})
    assert results[0] == results[1]
    assert len(results[0]) == 3


def test_unreadable_files_are_no_copies_of_each_other(tmp_path):
    groups, _, _ = found_among(tmp_path, {"a.jpg": b"", "b.jpg": b"", "c.png": png(scene(1))})
    assert groups == []


def test_no_pictures_have_no_copies(tmp_path):
    pictures = pictures_of(tmp_path / "data", {"class/a.png": png(scene(1))}).select(np.zeros(0, np.int64))
    found = found_in(pictures, tmp_path / "cache")
    assert list(found.members()) == []
    assert found.group.shape == (0,)


def test_what_was_found_is_kept_until_a_picture_changes(tmp_path, monkeypatch):
    files = {"class/a.png": png(scene(1)), "class/b.jpg": jpeg(scene(1))}
    pictures = pictures_of(tmp_path / "data", files)
    first = found_in(pictures, tmp_path / "cache")
    reads = []
    monkeypatch.setattr(type(pictures), "read", lambda self, index: reads.append(index))
    second = found_in(pictures, tmp_path / "cache")
    assert reads == []
    assert np.array_equal(first.group, second.group)
    monkeypatch.undo()
    (tmp_path / "data" / "class" / "b.jpg").write_bytes(jpeg(scene(9)))
    assert list(found_in(read_pictures(tmp_path / "data"), tmp_path / "cache").members()) == []


def test_at_most_one_in_a_hundred_digits_is_grouped(tmp_path):
    digits = load_digits()
    np.savez(tmp_path / "digits.npz", x=(digits.images * 15.9).astype(np.uint8), y=digits.target)
    found = found_in(read_pictures(tmp_path / "digits.npz"), tmp_path / "cache")
    assert sum(len(members) for members in found.members()) <= 0.01 * len(digits.images)


@pytest.mark.slow
def test_digits_drawn_larger_are_not_copies_either(tmp_path):
    digits = load_digits()
    large = [Image.fromarray((image * 15.9).astype(np.uint8)).resize((48, 48)) for image in digits.images]
    np.savez(tmp_path / "digits.npz", x=np.stack([np.asarray(image) for image in large]), y=digits.target)
    found = found_in(read_pictures(tmp_path / "digits.npz"), tmp_path / "cache")
    assert sum(len(members) for members in found.members()) <= 0.01 * len(digits.images)


def test_hands_before_one_wall_are_not_copies(shared_data, tmp_path):
    pictures = read_pictures(shared_data("sign_digits"))
    found = found_in(pictures, tmp_path / "cache")
    assert sum(len(members) for members in found.members()) <= 0.01 * len(pictures)
    assert len(found.mirrored) <= 0.01 * len(pictures)


def planted(shared_data, name, count):
    """Some real photos of a set, spread over it."""
    pictures = read_pictures(shared_data(name))
    for index in np.linspace(0, len(pictures) - 1, count).astype(int).tolist():
        with Image.open(pictures.contents.root + "/" + pictures.contents.paths[index]) as image:
            yield image.convert("RGB")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("flowers", 12),
        pytest.param("flowers", 150, marks=pytest.mark.slow),
        pytest.param("sign_digits", 150, marks=pytest.mark.slow),
    ],
)
def test_copies_of_real_photos_are_found(shared_data, tmp_path, name, count):
    """Recall of planted copies: at least 99 % where the whole picture is still there."""
    files, kinds = {}, {}
    for number, image in enumerate(planted(shared_data, name, count)):
        files[f"{number:03}/original.png"] = png(image)
        made = [*copies(image, number), ("cropped by 10 %", jpeg(cropped(image, 0.1, number), 85))]
        made += [
            ("mirrored", jpeg(ImageOps.mirror(image), 85)),
            ("mirrored", jpeg(ImageOps.mirror(resized(image, 0.7)))),
        ]
        for place, (kind, content) in enumerate(made):
            files[f"{number:03}/{place}.jpg"] = content
            kinds[f"{number:03}/{place}.jpg"] = kind
    pictures = pictures_of(tmp_path / "data", files)
    found = found_in(pictures, tmp_path / "cache")
    place_of = {name: index for index, name in enumerate(pictures.names)}
    mirrored = {found.group[index] for pair in found.mirrored.tolist() for index in pair}
    hits: dict[str, list[bool]] = {}
    for copy, kind in kinds.items():
        group = found.group[place_of[copy]]
        original = found.group[place_of[copy.split("/")[0] + "/original.png"]]
        hits.setdefault(kind, []).append(bool(group == original or (kind == "mirrored" and group in mirrored)))
    recall = {kind: float(np.mean(found_ones)) for kind, found_ones in hits.items()}
    assert recall["compressed"] >= 0.99, recall
    assert recall["resized"] >= 0.99, recall
    assert recall["cropped"] >= 0.95, recall
    assert recall["contrast"] >= 0.97, recall
    assert recall["brightness"] >= 0.9, recall
    assert recall["mirrored"] >= 0.95, recall
    wrong = [members for members in found.members() if len({pictures.names[i].split("/")[0] for i in members}) > 1]
    assert wrong == []
