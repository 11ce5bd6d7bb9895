from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from drawn_pictures import encode, jpeg_claiming, photo
from whyconv.errors import PictureError
from whyconv.images import decode as decode_module
from whyconv.images.decode import decode, read_header
from whyconv.images.jpeg import choose_factor, decode_jpeg, decode_plain_with_pillow, read_jpeg_header, without_metadata
from whyconv.images.prepare import PicturePolicy, fit, prepare

_KINDS = {
    "4:2:0": {"subsampling": 2, "quality": 85},
    "4:2:2": {"subsampling": 1, "quality": 70},
    "4:4:4": {"subsampling": 0, "quality": 95},
    "progressive": {"progressive": True, "quality": 80},
    "coarse": {"quality": 5},
}


def _assert_same_from_both(content: bytes) -> None:
    header = read_jpeg_header(content)
    assert header.is_plain_jpeg
    for factor in (1, 2, 4, 8):
        if min(header.width, header.height) < 8 * factor:
            continue
        for is_gray in {True, header.mode == "L"}:
            ours = decode_jpeg(content, header, factor, is_gray=is_gray)
            assert ours.shape == (-(-header.height // factor), -(-header.width // factor), 1 if is_gray else 3)
            assert np.array_equal(ours, decode_plain_with_pillow(content, header, factor, is_gray=is_gray))


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("size", [(97, 131), (64, 64), (200, 75)])
def test_both_decoders_give_the_same_pixels(kind, size):
    _assert_same_from_both(encode(photo(*size), "JPEG", **_KINDS[kind]))
    _assert_same_from_both(encode(photo(*size)[:, :, 0].copy(), "JPEG", quality=80))


@pytest.mark.parametrize("name", ["flowers", "flowers_native"])
def test_both_decoders_give_the_same_pixels_of_photos(shared_data, name):
    paths = sorted(path for path in shared_data(name).rglob("*") if path.suffix == ".jpg")
    for path in paths[:: max(1, len(paths) // 20)]:
        _assert_same_from_both(path.read_bytes())


@pytest.mark.parametrize("fit_name", ["letterbox", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_fraction_of_the_size_looks_like_all_of_it(shared_data, fit_name, channels):
    paths = sorted(path for path in shared_data("flowers_native").rglob("*") if path.suffix == ".jpg")
    differences = []
    for path in paths[:: max(1, len(paths) // 12)]:
        content = path.read_bytes()
        full = decode(content)
        for side in (32, 64, 96):
            policy = PicturePolicy(side=side, channels=channels, fit=fit_name)
            covers = "longer" if fit_name == "letterbox" else "shorter"
            if choose_factor(full.facts.width, full.facts.height, side, covers) == 1:
                continue
            difference = np.abs(prepare(content, policy).astype(int) - fit(full.pixels, policy)).mean()
            differences.append(difference)
    assert len(differences) > 15
    assert max(differences) <= 3


@pytest.mark.parametrize(
    ("size", "target", "covers", "factor"),
    [
        ((500, 375), None, "longer", 1),
        ((500, 375), 128, "longer", 1),
        ((512, 375), 128, "longer", 2),
        ((511, 375), 128, "longer", 1),
        ((512, 375), 128, "shorter", 1),
        ((1024, 512), 128, "shorter", 2),
        ((4000, 3000), 128, "longer", 8),
        ((4000, 3000), 224, "longer", 8),
        ((4000, 3000), 300, "longer", 4),
        ((100_000, 60), 64, "longer", 4),
        ((100_000, 7), 64, "longer", 1),
    ],
)
def test_the_factor_never_goes_below_twice_the_target(size, target, covers, factor):
    assert choose_factor(*size, target, covers) == factor
    assert choose_factor(*size[::-1], target, covers) == factor


@pytest.mark.parametrize("kind", _KINDS)
def test_cut_short_is_said(kind):
    content = encode(photo(120, 160), "JPEG", **_KINDS[kind])
    for length in [3, 4, 20, 200, 700, len(content) // 2, len(content) * 9 // 10, len(content) - 20, len(content) - 2]:
        with pytest.raises(PictureError, match=r"^cut short: the JPEG"):
            decode(content[:length])


def test_cut_short_and_ended_properly_is_said_too():
    content = encode(photo(200, 200), "JPEG", quality=90)
    with pytest.raises(PictureError, match="cut short"):
        decode(content[: len(content) // 2] + b"\xff\xd9")


def test_cut_short_with_four_inks():
    image = np.dstack([photo(100, 100), photo(100, 100)[:, :, :1]])
    content = encode(Image.frombytes("CMYK", (100, 100), image.tobytes()), "JPEG")
    with pytest.raises(PictureError, match="cut short"):
        decode(content[: len(content) // 2])


def test_junk_between_segments_and_after_the_end_is_read_past():
    content = encode(photo(60, 60), "JPEG", quality=90)
    clean = decode(content).pixels
    assert np.array_equal(decode(content + b"trailing notes" * 50).pixels, clean)
    quantization = content.find(b"\xff\xdb")
    with_junk = content[:quantization] + b"\0\0\0" + content[quantization:]
    assert np.array_equal(decode(with_junk).pixels, clean)


@pytest.mark.parametrize("told_by", ["the Adobe note", "the names of its components"])
def test_stored_as_rgb_is_no_plain_jpeg_and_is_read(told_by):
    pixels = np.full((32, 32, 3), (200, 100, 50), np.uint8)
    content = encode(pixels, "JPEG", keep_rgb=True, quality=95)
    if told_by != "the Adobe note":
        note = content.find(b"\xff\xee")
        content = content[:note] + content[note + 16 :]
    assert not read_header(content).is_plain_jpeg
    assert np.abs(decode(content).pixels.astype(int) - pixels).max() <= 2


def test_limits_of_pixels():
    content = encode(photo(64, 64), "JPEG")
    assert read_header(jpeg_claiming(content, 15000, 12000)).width == 15000
    with pytest.raises(PictureError, match="15001 x 12000 is 180 megapixels, and at most 180 are read"):
        decode(jpeg_claiming(content, 15001, 12000))
    odd = encode(photo(64, 64), "JPEG", keep_rgb=True)
    with pytest.raises(PictureError, match="at most 80 are read"):
        read_header(jpeg_claiming(odd, 9000, 9000))
    with pytest.raises(PictureError, match="no pixels: 0 x 64"):
        decode(jpeg_claiming(content, 0, 64))


def test_a_size_that_so_few_bytes_cannot_hold_is_refused_before_it_is_decoded(monkeypatch):
    """One color, coded as short as can be, is not refused."""
    large = encode(Image.new("L", (4000, 3000)), "JPEG", quality=1, optimize=True)
    assert decode(large).pixels.shape == (3000, 4000, 1)
    monkeypatch.setattr(decode_module, "decode_jpeg", lambda *_, **__: pytest.fail("decoded"))
    for kind in _KINDS.values():
        claiming = jpeg_claiming(encode(photo(64, 64), "JPEG", **kind), 4000, 3000)
        with pytest.raises(PictureError, match=r"^cut short"):
            decode(claiming)


def test_too_many_passes_over_a_large_picture():
    content = encode(photo(64, 64), "JPEG", progressive=True)
    scan = content.find(b"\xff\xda")
    hostile = jpeg_claiming(content, 12000, 12000) + content[scan:-2] * 10 + bytes(300_000)
    with pytest.raises(PictureError, match=r"^hostile: .* passes over 144 megapixels"):
        decode(hostile)


def test_metadata_is_left_out_and_pixels_stay():
    content = encode(
        photo(50, 40), "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 30, comment="hello", icc_profile=b"x" * 500
    )
    lean = without_metadata(content)
    assert not any(note in lean for note in (b"hello", b"Exif", b"ICC_PROFILE"))
    assert np.array_equal(decode(lean).pixels, decode(content).pixels)
