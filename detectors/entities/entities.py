"""Joins addresses and hosts with whoever uses them, over time, and says who is behind one when a verdict asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.detector import Mask
from detectors.entities import behind
from detectors.entities.behind import NAMED, NOBODY, Behind, confidences, crowd
from detectors.entities.claims import Claims, claims, place_hashes
from detectors.entities.leases import Leases
from detectors.entities.pairs import Joined, Pairs
from detectors.features.hashing import KEY, Hashes
from detectors.features.sample import Sample
from detectors.verdict import SubjectKind
from telemetry import EventBatch, Kind, Texts, Words

_READ = np.isin(np.arange(256), (Kind.REQUEST, Kind.ENDPOINT, Kind.LEASE))
_UNKNOWN = "somebody"  # a text that was forgotten


class Entities:
    """Knows at most `capacity` pairs of place and principal. Learning is vectorised; asking is rare and slow."""

    name = "entities"

    def __init__(self, capacity: int = 16_384, key: int = KEY) -> None:
        self.capacity = max(2, capacity)
        self._key = key
        self._pairs, self._leases = Pairs(self.capacity), Leases(self.capacity)
        self._sample = Sample()
        self._texts: dict[int, str] = {}  # of the places and principals, by hash

    def mine(self, batch: EventBatch) -> Mask:
        """Rows that may say who is where."""
        mine: Mask = _READ[batch.kind]
        return mine

    def learn(self, batch: EventBatch) -> None:
        """Take in events, in the order of time."""
        rows = np.flatnonzero(self.mine(batch))
        taken = rows[self._sample.take(batch.time[rows])]
        for start in range(0, len(taken), self.capacity // 2):  # a row claims two places at most
            self._learn(batch.take(taken[start : start + self.capacity // 2]))

    def behind(self, asked: Sequence[tuple[SubjectKind, str]], moment: float) -> list[Behind]:
        """Who was behind each address or host at a moment (Unix seconds); behind all else nobody. Changes nothing."""
        places = list(dict.fromkeys(one for one in asked if one[0] in ("address", "host") and one[1]))
        told = dict(zip(places, self._behind(places, moment), strict=True)) if places else {}
        return [told.get(one, NOBODY) for one in asked]

    def state(self) -> dict[str, NDArray[Any]]:
        """All that is known, for `restore`."""
        used = {hash_: self._texts[hash_] for hash_ in self._used() if hash_ in self._texts}
        texts = Texts.of(list(used.values()))
        kept = {"texts": np.array(list(used), np.uint64), "letters": texts.letters, "offsets": texts.offsets}
        sampled = {"sampled": np.array([self._sample.second, self._sample.count])}
        leased = {f"lease_{name}": part for name, part in self._leases.state().items()}
        return {**self._pairs.state(), **leased, **kept, **sampled}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Know what another one knew; where fewer pairs fit, the most interesting."""
        self._pairs.restore(state)
        leased = {name.removeprefix("lease_"): part for name, part in state.items() if name.startswith("lease_")}
        self._leases.restore(leased)
        self._texts = dict(zip(state["texts"].tolist(), Texts(state["letters"], state["offsets"]), strict=True))
        self._sample.second, self._sample.count = float(state["sampled"][0]), int(state["sampled"][1])
        self._prune()

    def _learn(self, batch: EventBatch) -> None:
        self._keep(*self._leases.learn(batch, self._key), batch.peer)
        found = claims(batch, self._key)
        if not len(found):
            return
        new = self._pairs.learn(found, batch.time[found.rows])
        self._keep(found.principals[new], found.rows[new], batch.actor)
        self._keep_places(batch, found, new)
        if len(self._texts) > 4 * self.capacity:  # twice as many as pairs need
            self._prune()

    def _keep_places(self, batch: EventBatch, found: Claims, new: NDArray[np.int64]) -> None:
        for words, some in ((batch.address, new[~found.hosts[new]]), (batch.peer, new[found.hosts[new]])):
            self._keep(found.places[some], found.rows[some], words)

    def _keep(self, hashes: Hashes, rows: NDArray[np.int64], words: Words) -> None:
        """Python runs for texts that are new, no others."""
        fresh = [place for place, one in enumerate(hashes.tolist()) if one not in self._texts]
        if fresh:
            self._texts.update(zip(hashes[fresh].tolist(), words.values.take(words.codes[rows[fresh]]), strict=True))

    def _prune(self) -> None:
        used = self._used()
        self._texts = {hash_: text for hash_, text in self._texts.items() if hash_ in used}

    def _used(self) -> dict[int, None]:
        held, leased = self._pairs.table.hashes != 0, self._leases.table.hashes != 0
        used = (self._pairs.places[held], self._pairs.principals[held], self._leases.holders[leased])
        return dict.fromkeys(np.concatenate(used).tolist())

    def _places(self, asked: Sequence[tuple[SubjectKind, str]]) -> Hashes:
        subjects, every = Words.of(subject for _, subject in asked), np.arange(len(asked))
        hosts, addresses = (place_hashes(subjects, every, self._key, host=host) for host in (True, False))
        places: Hashes = np.where([kind == "host" for kind, _ in asked], hosts, addresses)
        return places

    def _behind(self, asked: Sequence[tuple[SubjectKind, str]], moment: float) -> list[Behind]:
        places = self._places(asked)
        since, holders = self._leases.at(places, moment)
        joined = self._pairs.at(places, moment, since)
        found = [self._told(one[1], pairs, moment) for one, pairs in zip(asked, joined, strict=True)]
        return [
            one._replace(evidence=(*one.evidence, behind.leased(place[1], self._text(holder), start))) if start else one
            for one, place, holder, start in zip(found, asked, holders, since.tolist(), strict=True)
        ]

    def _told(self, subject: str, joined: Joined, moment: float) -> Behind:
        if not len(joined.slots):
            return NOBODY
        values, slot = confidences(joined.presence), int(joined.slots[0])
        who = [self._text(self._pairs.principals[one]) for one in joined.slots[:3].tolist()]
        elsewhere = self._pairs.elsewhere(slot, moment)
        said: tuple[str, ...] = ()
        if len(elsewhere.slots):
            values = values * joined.presence[0] / (joined.presence[0] + float(elsewhere.presence.sum()))
            said = (behind.stolen(who[0], [self._text(self._pairs.places[one]) for one in elsewhere.slots.tolist()]),)
        if values[0] > NAMED:
            words = behind.named(subject, who[0], joined, float(values[0]))
            since = float(self._pairs.since[slot])
            return Behind(who[0], float(values[0]), crowd(joined.presence), since, (words, *said))
        return NOBODY._replace(
            crowd=crowd(joined.presence), evidence=(behind.shared(subject, who, joined, values), *said)
        )

    def _text(self, hash_: np.uint64) -> str:
        return self._texts.get(int(hash_), _UNKNOWN)
