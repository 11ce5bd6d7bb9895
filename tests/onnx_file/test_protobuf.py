"""Messages as the package ``protobuf`` writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto

from whyconv.onnx_file.protobuf import as_integer, as_integers, as_message, as_text, field_bytes, message_fields

WHOLE = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(WHOLE), WHOLE, st.text(max_size=300))
def test_what_protobuf_writes_comes_back(numbers: list[int], number: int, name: str) -> None:
    packed = TensorProto(int64_data=numbers).SerializeToString()
    assert [each for _, value in message_fields(memoryview(packed)) for each in as_integers(value)] == numbers
    alone = AttributeProto(ints=numbers, i=number, name=name).SerializeToString()
    found = list(message_fields(memoryview(alone)))
    assert [each for field, value in found if field == 8 for each in as_integers(value)] == numbers
    assert [as_integer(value) for field, value in found if field == 3] == [number]
    assert [as_text(value) for field, value in found if field == 1] == [name]


@given(st.integers(1, 2**29 - 1), st.binary(max_size=300))
def test_a_written_field_is_read_again(number: int, content: bytes) -> None:
    ((found, value),) = message_fields(memoryview(field_bytes(number, content)))
    assert (found, bytes(as_message(value))) == (number, content)


def test_a_written_field_is_that_of_protobuf() -> None:
    name = "x" * 200
    assert field_bytes(8, name.encode()) == TensorProto(name=name).SerializeToString()


def test_numbers_and_messages_do_not_stand_for_each_other() -> None:
    for read in (as_message, as_text):
        with pytest.raises(ValueError, match="a number where a message was expected"):
            read(3)
    with pytest.raises(ValueError, match="a message where a number was expected"):
        as_integer(memoryview(b"3"))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"\x0a\x05abc", ValueError),
        (b"\x0b", ValueError),
        (b"\x02\x00", ValueError),
        (b"\x08", IndexError),
        (b"\x08" + b"\xff" * 11, ValueError),
    ],
    ids=["runs over the end", "wire type", "field 0", "cut", "11 bytes"],
)
def test_a_damaged_message_is_an_error(message: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(message_fields(memoryview(message)))
