"""A model that changed after it was written is noticed when it is opened: every byte, and every length."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from golden_runs import ENDED, GOLDEN, formats
from tiny_model import make_metadata, make_model
from whyconv.errors import ModelFileError
from whyconv.model_file import METADATA_KEY, read_description, read_metadata, with_digest
from whyconv.onnx_file.seal import SEAL_KEY, sealed, without_seal

RUN = GOLDEN / formats() / ENDED
CONTENT = (RUN / "model.onnx").read_bytes()
SEAL_BYTES = len(CONTENT) - len(without_seal(CONTENT))
# Every so manieth byte in the weights; around the metadata and in the digest every one.
STEP = 7


def flipped(content: bytes, place: int, bits: int) -> bytes:
    return content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]


def is_noticed(content: bytes) -> bool:
    try:
        read_metadata(content, "it")
    except ModelFileError:
        return True
    return False


def places() -> Iterator[int]:
    metadata = CONTENT.index(METADATA_KEY.encode())
    near = [
        *range(metadata - 20, min(metadata + 1000, len(CONTENT))),
        *range(len(CONTENT) - 2 * SEAL_BYTES, len(CONTENT)),
    ]
    yield from sorted({*range(0, len(CONTENT), STEP), *near})


def test_a_flipped_byte_in_an_exported_file_is_noticed() -> None:
    generator = random.Random(1)
    missed = [place for place in places() if not is_noticed(flipped(CONTENT, place, generator.randint(1, 255)))]
    assert len(list(places())) > 2000
    assert missed == []


@pytest.mark.long
def test_every_flipped_bit_in_an_exported_file_is_noticed() -> None:
    missed = [
        (place, bit)
        for place in range(len(CONTENT))
        for bit in range(8)
        if not is_noticed(flipped(CONTENT, place, 1 << bit))
    ]
    assert missed == []


def test_a_shorter_or_longer_file_is_noticed() -> None:
    lengths = [*range(0, len(CONTENT) - SEAL_BYTES, 101), *range(len(CONTENT) - SEAL_BYTES + 1, len(CONTENT))]
    assert [length for length in lengths if not is_noticed(CONTENT[:length])] == []
    assert is_noticed(CONTENT + b"\0")
    assert is_noticed(CONTENT + make_model(None).SerializeToString())
    # What is cut off to the byte is a whole file without a digest, as older versions wrote it.
    assert not is_noticed(without_seal(CONTENT))


def test_several_damaged_bytes_of_the_digest_are_noticed() -> None:
    zeros = CONTENT[: -SEAL_BYTES + 4] + bytes(4) + CONTENT[-SEAL_BYTES + 8 :]
    assert is_noticed(zeros)
    assert is_noticed(CONTENT[:-64] + bytes(64))


def test_what_another_program_wrote_anew_counts_as_changed_until_the_entry_is_taken_out(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(CONTENT)
    model.doc_string = "changed"
    with pytest.raises(ModelFileError, match=f"is damaged: it is not what whyconv wrote.*'{SEAL_KEY}'"):
        read_metadata(model.SerializeToString(), "it")
    kept = [each for each in model.metadata_props if each.key != SEAL_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    assert read_metadata(model.SerializeToString(), "it").classes == ("0", "1")


def test_files_of_older_versions_have_no_digest_and_open() -> None:
    content = make_model(make_metadata()).SerializeToString()
    assert read_metadata(content, "it") == read_metadata(sealed(content), "it")
    assert sealed(sealed(content)) == sealed(content)
    assert without_seal(sealed(content)) == content == without_seal(content)


def test_a_flipped_byte_in_a_description_is_noticed_or_says_the_same(tmp_path: Path) -> None:
    content, generator, path = (RUN / "network.json").read_bytes(), random.Random(2), tmp_path / "network.json"
    told, missed, same = read_description(RUN / "network.json"), [], 0
    for place in range(len(content)):
        path.write_bytes(flipped(content, place, generator.randint(1, 255)))
        try:
            is_same = read_description(path) == told
        except ModelFileError:
            continue
        same += is_same
        missed += [] if is_same else [(place, path.read_bytes()[place - 20 : place + 20])]
    assert missed == []
    assert same < len(content) / 10


def test_a_description_of_an_older_version_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    told = {key: value for key, value in read_description(RUN / "network.json").items() if "digest" not in key}
    path.write_text(json.dumps(told))
    assert read_description(path) == told
    path.write_text(json.dumps(with_digest(told) | {"temperature": 2.0}))
    with pytest.raises(ModelFileError, match="is damaged: it is not what whyconv wrote"):
        read_description(path)
