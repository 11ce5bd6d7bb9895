"""What the values of pixels in arrays mean: one rule for all of an array, and for those that belong together."""

import numpy as np
import pytest

from made_up_arrays import shots
from whyconv.errors import DataError
from whyconv.images.array_levels import to_levels
from whyconv.images.decode import decode_array
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources import pictures_from_arrays, read_pictures

RNG = np.random.default_rng(0)


def keys(pictures):
    return [note.key for note in pictures.notes]


@pytest.mark.parametrize(
    ("x", "values", "key"),
    [(np.array([[[0.0, 0.5], [1.0, 0.25]]]), [[0.0, 0.5], [1.0, 0.25]], "array_fractions"),
     (np.array([[[0.0, 127.5], [255.0, 1.4]]]), [[0, 128], [255, 1]], "array_eight_bit"),
     (np.array([[[0, 7], [255, 1]]], np.int64), [[0, 7], [255, 1]], "array_eight_bit"),
     (np.array([[[0, 7], [255, 1]]], np.uint16), [[0, 7], [255, 1]], "array_eight_bit"),
     (np.array([[[0, 256], [65535, 1]]], np.int32), [[0, 256], [65535, 1]], "array_sixteen_bit")],
)  # fmt: skip
def test_pixel_values_are_understood_by_the_range_of_the_whole_array(x, values, key):
    pictures = pictures_from_arrays(x, np.array([0]))
    pixels = pictures.read(0)
    assert pixels.tolist() == values
    assert keys(pictures) == [key]
    assert (
        pixels.dtype == {"array_fractions": x.dtype, "array_eight_bit": np.uint8, "array_sixteen_bit": np.uint16}[key]
    )


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.float32, 0, np.nextafter(np.float32(1), np.float32(2))), (np.float64, -1e-9, 1), (np.float16, 0, 1.02),
     (np.float32, -0.04, 1.05)],
)  # fmt: skip
def test_fractions_that_overshoot_by_a_hair_are_clipped(dtype, low, high):
    """As rounding and resizing leave them; levels up to 255 with nothing above this would be black."""
    x = RNG.uniform(0, 1, (3, 8, 8)).astype(dtype)
    x[0, 0, 0], x[0, 0, 1], x[1] = low, high, x[1] / 10
    x[1, 0, 0] = low
    pictures = pictures_from_arrays(x, np.arange(3))
    assert keys(pictures) == ["array_clipped"]
    assert pictures.contents.white == 1
    for row in range(3):
        expected = np.rint(np.clip(x[row].astype(np.float64), 0, 1) * 255)
        assert np.array_equal(decode_array(pictures.read(row)).pixels[:, :, 0], expected)
        assert np.array_equal(to_levels(x[row], 1), expected)


def test_the_note_tells_the_greatest_value_from_1():
    x = np.array([[[0, np.nextafter(np.float32(1), np.float32(2))]]], np.float32)
    assert pictures_from_arrays(x, np.array([0])).notes[0].values["high"] == "1.0000001"


@pytest.mark.parametrize("high", [1.06, 1.3, 1.999])
def test_values_between_fractions_and_levels_are_refused(high):
    x = RNG.uniform(0, 1, (3, 8, 8)) * high
    x[0, 0, 0] = high
    with pytest.raises(DataError, match=rf"to {high}, too much for fractions.*too little for levels.*divide by"):
        pictures_from_arrays(x, np.arange(3))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16])
def test_zeros_and_ones_alone_are_read_as_bool(dtype):
    mask = RNG.random((3, 64, 64)) > 0.5
    pictures = pictures_from_arrays(mask.astype(dtype), np.arange(3))
    assert keys(pictures) == ["array_binary"]
    assert pictures.contents.white == 1
    policy = PicturePolicy(side=24, channels=1)
    expected = prepare(mask[1].astype(np.uint8) * 255, policy)
    assert len(np.unique(expected)) > 50
    assert np.array_equal(prepare(pictures.read(1), policy), expected)
    # As a network that was trained on them is asked.
    assert np.array_equal(prepare(mask[1].astype(dtype), policy, white=1), expected)


def test_one_value_above_1_is_enough_for_levels():
    x = np.ones((3, 4, 4), np.uint8)
    x[2, 3, 3] = 2
    pictures = pictures_from_arrays(x, np.arange(3))
    assert (keys(pictures), pictures.contents.white) == ([], 255)
    assert np.array_equal(pictures.read(2), x[2])
    assert pictures_from_arrays(x * 0, np.arange(3)).contents.white == 255


def test_a_dark_picture_among_bright_ones_stays_dark():
    x = np.zeros((2, 2, 2), np.float32)
    x[0], x[1] = 1, 200
    assert pictures_from_arrays(x, np.array([0, 1])).read(0).tolist() == [[1, 1], [1, 1]]


def test_arrays_of_one_type_are_read_by_one_rule(tmp_path) -> None:
    """A dark test part of 16-bit pictures is dark, and not a part of 8-bit pictures."""
    bright, dark = np.full((2, 4, 4), 40_000, np.uint16), np.full((2, 4, 4), 200, np.uint16)
    np.savez(tmp_path / "p.npz", x_train=bright, y_train=[0, 1], x_test=dark, y_test=[0, 1])
    pictures = read_pictures(tmp_path / "p.npz")
    assert {pictures.read(row).dtype for row in range(4)} == {np.dtype(np.uint16)}
    assert pictures.contents.white == 65535
    assert [key for key in keys(pictures) if key.startswith("array_")] == ["array_sixteen_bit"] * 2


@pytest.mark.parametrize(("train", "test"), [(1, 255), (255, 1), (1.02, 3)])
def test_fractions_beside_levels_of_one_type_are_refused(tmp_path, train, test) -> None:
    x = {
        f"x_{part}": (shots(3) / np.float32(255) * np.float32(high))
        for part, high in (("train", train), ("test", test))
    }
    for part, high in (("train", train), ("test", test)):
        x[f"x_{part}"][0, 0, 0] = high, 0, 0
    np.savez(tmp_path / "p.npz", **x, y_train=np.arange(3), y_test=np.arange(3))
    least, most = ("train", "test") if train < test else ("test", "train")
    said = (
        rf"x_{least} \(float32\) holds values from 0 to {min(train, test)} and x_{most} from 0 to {max(train, test)}: "
    )
    with pytest.raises(DataError, match=said + "one is on another scale") as told:
        read_pictures(tmp_path / "p.npz")
    assert str(told.value).count("another scale") == 1


def test_a_black_part_is_on_every_scale(tmp_path) -> None:
    bright = shots(2).astype(np.float32)
    bright[0, 0, 0] = 255
    np.savez(tmp_path / "p.npz", x_train=bright, y_train=[0, 1], x_test=bright * 0, y_test=[0, 1])
    pictures = read_pictures(tmp_path / "p.npz")
    assert pictures.contents.white == 255
    assert {pictures.read(row).dtype for row in range(4)} == {np.dtype(np.uint8)}


def test_arrays_of_several_types_are_read_each_by_its_own(tmp_path) -> None:
    x = shots(2)
    np.savez(tmp_path / "p.npz", x_train=x, y_train=[0, 1], x_test=x / 255, y_test=[0, 1])
    pictures = read_pictures(tmp_path / "p.npz")
    assert all(np.array_equal(decode_array(pictures.read(row)).pixels, x[row % 2]) for row in range(4))
