"""A shelf of models, as it is read: what lies on it, what is in force, and whom it believes. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from detectors.arrays import Device
from detectors.models.card import Card, Schema
from detectors.models.comparison import Comparison
from detectors.models.history import History
from detectors.models.model import Model, load, refuse_other, signer, verified
from detectors.models.places import Places, schema_of
from detectors.models.refused import ModelRefused
from detectors.models.signing import Keys, read_private
from detectors.models.tasks import TASKS

Stamp = tuple[int, int, int] | None
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Entry:
    """A revision as a list shows it. One that may not be used has no card, and says why."""

    revision: str
    created: float  # Unix seconds at which it was put on the shelf
    in_force: bool
    card: Card | None = None
    signer: str = ""
    evaluated: Comparison | None = None
    refused: str = ""


class Shelf:
    """Models in a folder. `trusted` are the keys of others whose models, and whose word on what is in force, count;
    the shelf's own key counts where it lies here.
    """

    def __init__(self, folder: Path, trusted: Sequence[Ed25519PublicKey] = ()) -> None:
        self.places = Places(folder)
        self._trusted = tuple(trusted)

    @property
    def keys(self) -> Keys:
        """The keys as they are now: the own one may just have been made. Raises ModelRefused."""
        return Keys(read_private(self.places.key), self._trusted)

    def in_force(self, schema: Schema, device: Device = "cpu") -> Model:
        """The model that is to judge. Raises ModelRefused, also where none is in force."""
        revision = self.history(schema.name).in_force
        if not revision:
            raise ModelRefused(f"{self.places.history(schema.name)}: no {schema.name} model is in force")
        return self._load(revision, schema, device)

    def load(self, revision: str) -> Model:
        """Any model of the shelf. Raises ModelRefused."""
        return self._load(revision, _schema(revision), "cpu")

    def card(self, revision: str) -> Card:
        """A revision's card, once the files are found to be as they were signed. Raises ModelRefused."""
        folder = self.places.revision(revision)
        card, _ = verified(folder, self.keys)
        _refuse_renamed(folder, card)
        refuse_other(folder, card, _schema(revision))
        return card

    def signer(self, revision: str) -> str:
        """The id of the key that a revision's card is signed with. Raises ModelRefused."""
        return signer(self.places.revision(revision), self.keys)

    def history(self, schema: str) -> History:
        """What is in force and how it came to be; empty where nothing ever was. Raises ModelRefused."""
        path = self.places.history(schema)
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            return History(schema)
        except OSError as error:
            raise ModelRefused(f"{path}: {error.strerror}") from error
        body, _ = self.keys.unseal("history", sealed, path)
        history = _decoded(body, History, path)
        if history.schema != schema:
            raise ModelRefused(f"{path}: of another schema, {history.schema}")
        return history

    def evaluation(self, revision: str) -> Comparison | None:
        """How it did last, None where it was not evaluated here. Raises ModelRefused; only the own key counts."""
        path, keys = self.places.evaluation(revision), self.keys
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ModelRefused(f"{path}: {error.strerror}") from error
        body, key = keys.unseal("evaluation", sealed, path)
        comparison = _decoded(body, Comparison, path)
        if key != keys.own or comparison.revision != revision:
            raise ModelRefused(f"{path}: not of this shelf and revision")
        return comparison

    def entries(self, schemas: Sequence[str] = tuple(TASKS)) -> list[Entry]:
        """All that lies here, oldest first, what may not be used too. Raises OSError; ModelRefused for bad keys."""
        self.keys.own  # noqa: B018 - a key that may not be used is said once, not of each revision
        found = [self._entry(name, revision) for name in schemas for revision in self.places.revisions(name)]
        return sorted(found, key=lambda entry: (entry.created, entry.revision))

    def stamp(self, schema: str) -> Stamp:
        """Another one after each change of what is in force; None where nothing ever was."""
        try:
            status = self.places.history(schema).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _entry(self, schema: str, revision: str) -> Entry:
        created, in_force = self.places.created(revision), False
        try:
            in_force = self.history(schema).in_force == revision
            card = self.card(revision)
            return Entry(revision, created, in_force, card, self.signer(revision), self.evaluation(revision))
        except ModelRefused as refused:
            return Entry(revision, created, in_force, refused=str(refused))

    def _load(self, revision: str, schema: Schema, device: Device) -> Model:
        folder = self.places.revision(revision)
        model = load(folder, schema, self.keys, device)
        _refuse_renamed(folder, model.card)
        return model


def _schema(revision: str) -> Schema:
    name = schema_of(revision)
    if name not in TASKS:
        raise ModelRefused(f"{revision}: nothing reads the schema {name} here (there are: {', '.join(TASKS)})")
    return TASKS[name].schema


def _refuse_renamed(folder: Path, card: Card) -> None:
    if card.revision != folder.name:
        raise ModelRefused(f"{folder}: holds another revision, {card.revision}")


def _decoded(body: bytes, kind: type[_T], path: Path) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRefused(f"{path}: cannot be read: {error}") from error
