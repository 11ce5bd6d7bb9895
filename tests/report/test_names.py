from __future__ import annotations

import pytest

from whyconv.report.names import MAX_NAME_LENGTH, shown, shown_value, text_width


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat.jpg", "cat.jpg"),
        ("고양이.jpg", "고양이.jpg"),
        ("a\x00b", "a⟨0000⟩b"),
        ("line\nbreak", "line⟨000A⟩break"),
        ("\x1b[31mred", "⟨001B⟩[31mred"),
        ("photo\u202egpj.exe", "photo⟨202E⟩gpj.exe"),
        ("zero\u200bwidth", "zero⟨200B⟩width"),
        ("\udcff.jpg", "⟨DCFF⟩.jpg"),
        ("👩\u200d🌾", "👩\u200d🌾"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(name: str, expected: str) -> None:
    assert shown(name) == expected


def test_a_long_name_keeps_its_beginning_and_its_extension() -> None:
    short = shown("a" * 10_000 + "z.jpeg")
    assert len(short) == MAX_NAME_LENGTH
    assert short.startswith("aaa")
    assert short.endswith("z.jpeg")
    assert "…" in short


def test_a_name_of_just_the_limit_is_not_cut() -> None:
    assert shown("b" * MAX_NAME_LENGTH) == "b" * MAX_NAME_LENGTH


def test_lists_are_joined_and_numbers_left_alone() -> None:
    assert shown_value(["a\n", "b"]) == "a⟨000A⟩, b"
    assert shown_value(0.5) == 0.5


def test_hangul_is_taken_as_wider_than_latin() -> None:
    assert text_width("가나", 10) == pytest.approx(1.8 * text_width("ab", 10))
