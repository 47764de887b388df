"""What sort of actor does what to what sort of thing: ids and paths without what tells one from another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.features.hashing import Hashes, hash_rows, mix
from telemetry import EventBatch, Texts, Words, hash_letters

_SLASH, _QUERY = ord("/"), ord("?")
_ACTION, _PATH = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


def operations(batch: EventBatch, key: int) -> Hashes:
    """[n] of each row. `GET /accounts/1001/statements?from=3` is the same as of every other account."""
    codes, place = np.unique(batch.resource.codes, return_inverse=True)
    paths = templates(batch.resource.values.take(codes), key)[place]
    every = np.arange(len(batch))
    services, actions = (hash_rows(words, every, key) for words in (batch.service, batch.action))
    done: Hashes = mix(services ^ actions * _ACTION ^ paths * _PATH)
    return done


def templates(texts: Texts, key: int) -> Hashes:
    """[n] of each path, without its query and without the segments that have a digit in them."""
    letters, starts = texts.letters, texts.offsets[:-1]
    slash = letters == _SLASH
    begins = slash.copy()
    begins[starts[texts.lengths > 0]] = True
    segment = np.cumsum(begins) - 1
    path = ~_after(letters == _QUERY, texts)
    digits = np.bincount(segment, path & ((letters - np.uint8(ord("0"))) < 10))
    kept = path & (slash | (digits[segment] == 0))
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[texts.offsets]
    return hash_letters(letters[kept], ends[:-1], np.diff(ends), key)


def _after(marks: NDArray[np.bool_], texts: Texts) -> NDArray[np.bool_]:
    """Which letters are a mark, or come behind one in their text."""
    counts = np.concatenate([np.zeros(1, np.int64), np.cumsum(marks)])
    behind: NDArray[np.bool_] = counts[1:] > np.repeat(counts[texts.offsets[:-1]], texts.lengths)
    return behind


def first_letters(words: Words) -> NDArray[np.int64]:
    """[n] what each row's id begins with: "p" of a person, "a" of an agent, "w" of a workload. None is blank."""
    texts = words.values
    letters = np.concatenate([texts.letters, np.zeros(1, np.uint8)])
    first: NDArray[np.int64] = letters[texts.offsets[:-1]].astype(np.int64)[words.codes]
    return first
