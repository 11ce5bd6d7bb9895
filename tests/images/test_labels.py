"""Names of classes: their order, and which of them are classes."""

import numpy as np
import pytest

from whyconv.images.sources.labels import natural_key, number_classes


@pytest.mark.parametrize("sign", ["①", "²", "½", "٣", "Ⅳ"])
def test_signs_of_numbers_that_are_no_digits_are_ordered_as_letters(sign):
    assert sorted([f"a{sign}", "a10", "a2"], key=natural_key) == ["a2", "a10", f"a{sign}"]
    assert sorted([sign, "10", "2"], key=natural_key)[:2] == ["2", "10"]
    labels, classes, _ = number_classes([sign, "1"], np.zeros(2, np.int8))
    assert [classes[label] for label in labels] == [sign, "1"]


def test_numbers_of_any_length_are_in_order():
    names = ["9" * 5_000, "1" + "0" * 5_000, "0", "00", "7", "010", "11"]
    assert sorted(names, key=natural_key) == ["0", "00", "7", "010", "11", names[0], names[1]]
