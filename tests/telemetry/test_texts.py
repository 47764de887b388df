"""Tables of texts: what a tuple of str says, over bytes and offsets."""

from __future__ import annotations

from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import Texts, hash_letters
from telemetry import texts as module
from telemetry.hashing import MAX_BYTES

some = st.lists(st.sampled_from(["", "a", "ab", "é", "\0", "a\0", "\U0001f600", "\ud800"]) | st.text(max_size=20))
keys = st.integers(0, 2**64 - 1)


def hashes(texts: Texts, key: int) -> list[int]:
    numbers: list[int] = hash_letters(texts.letters, texts.offsets[:-1], texts.lengths, key).tolist()
    return numbers


@given(some, st.data())
def test_a_table_reads_as_its_texts(texts: list[str], data: st.DataObject) -> None:
    table = Texts.of(texts)
    assert (
        list(table)
        == texts
        == [table[n] for n in range(len(table))]
        == [table[n - len(table)] for n in range(len(table))]
    )
    assert table == tuple(texts)
    start, stop = data.draw(st.integers(-5, 5)), data.draw(st.integers(-5, 5))
    assert list(table[start:stop]) == texts[start:stop]
    places = data.draw(st.lists(st.integers(0, len(texts) - 1)) if texts else st.just([]))
    assert list(table.take(np.array(places, np.int64))) == [texts[place] for place in places]
    mask = data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts)))
    assert list(table.keep(np.array(mask, np.bool_))) == [text for text, kept in zip(texts, mask, strict=True) if kept]


@given(some, st.sampled_from(["", "a", "é", "\ud800"]))
def test_a_text_is_found_where_it_stands(texts: list[str], wanted: str) -> None:
    table = Texts.of(texts)
    assert table.places(wanted).tolist() == [place for place, text in enumerate(texts) if text == wanted]
    assert (wanted in table) == (wanted in texts)
    if wanted in texts:
        assert table.index(wanted) == texts.index(wanted)
    else:
        with pytest.raises(ValueError, match="not among"):
            table.index(wanted)


def test_a_place_that_is_none_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        Texts.of(("a",))[1]


@pytest.mark.parametrize("few", [0, 10_000])
@given(tables=st.lists(some, max_size=5))
def test_joined_tables_hold_each_text_once(few: int, tables: list[list[str]]) -> None:
    """Whether by a dictionary or by arrays: the same texts in order of first appearance, the same places."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW", few)
        joined, places = Texts.join([Texts.of(texts) for texts in tables])
    together = [text for texts in tables for text in texts]
    assert list(joined) == list(dict.fromkeys(together))
    assert [joined[place] for place in places.tolist()] == together


def test_texts_that_differ_behind_what_is_hashed_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW", 0)
    long = "x" * MAX_BYTES
    texts = [long + "a", long + "b", long + "a"]
    joined, places = Texts.join([Texts.of(texts)])
    assert [joined[place] for place in places.tolist()] == texts


@given(some, keys)
def test_a_hash_depends_on_nothing_but_text_and_key(texts: list[str], key: int) -> None:
    """Wherever a text lies and however its table came about; different texts have different hashes."""
    alone = [hashes(Texts.of([text]), key)[0] for text in texts]
    assert hashes(Texts.of(texts), key) == alone
    assert hashes(Texts.of(["é" * 300, *texts])[1:], key) == alone
    assert len(set(alone)) == len(set(texts))


@given(st.binary(min_size=8, max_size=64), keys)
def test_a_text_cut_differs_from_one_that_goes_on_with_zeros(data: bytes, key: int) -> None:
    letters = np.frombuffer(data + bytes(8), np.uint8)
    lengths = np.arange(len(data) - 7, len(data) + 9)
    found = hash_letters(letters, np.zeros(16, np.int64), lengths, key)
    assert len(set(found.tolist())) == 16


def test_another_key_gives_other_hashes_and_collides_elsewhere() -> None:
    table = Texts.of([f"/accounts/{n}" for n in range(1000)])
    assert not set(hashes(table, 1)) & set(hashes(table, 2))


def test_a_difference_in_highest_bits_is_cancelled_under_no_key_that_was_tried() -> None:
    """What collides MurmurHash3 whatever its seed: the same two bits turned over in neighbouring words."""
    plain = np.zeros(16, np.uint8)
    turned = plain.copy()
    turned[[7, 11, 15]] = 0x80
    letters, starts, lengths = np.concatenate([plain, turned]), np.array([0, 16]), np.array([16, 16])
    for key in range(200):
        first, second = hash_letters(letters, starts, lengths, key).tolist()
        assert first != second


@given(some.filter(lambda texts: "\ud800" not in texts))
def test_buffers_and_back(texts: list[str]) -> None:
    table = Texts.of(texts)
    assert list(Texts.of_lengths(table.letters.tobytes(), table.lengths)) == texts


@given(st.binary(max_size=12), st.lists(st.integers(0, 13), max_size=6))
def test_any_buffers(letters: bytes, lengths: list[int]) -> None:
    """Buffers are refused, or every text is the UTF-8 of so many bytes."""
    offsets = [0, *accumulate(lengths)]
    try:
        texts = list(Texts.of_lengths(letters, np.array(lengths, np.uint8)))
    except ValueError:
        assert not _holds(letters, offsets)
        return
    assert _holds(letters, offsets)
    assert texts == [letters[start:end].decode() for start, end in pairwise(offsets)]


def _holds(letters: bytes, offsets: list[int]) -> bool:
    if not offsets or sorted(offsets) != offsets or (offsets[0], offsets[-1]) != (0, len(letters)):
        return False
    try:
        return all(isinstance(letters[start:end].decode(), str) for start, end in pairwise(offsets))
    except UnicodeDecodeError:
        return False
