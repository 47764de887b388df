"""Names are personal identifiers; the history holds pseudonyms, and forgetting a name's key forgets the name.

The sealed name (AES-GCM under a random key of its own) travels with the ledger; the key lies in a file of its own.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SCHEMA = "CREATE TABLE IF NOT EXISTS names (pseudonym TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID"
_KEYS = """
CREATE TABLE IF NOT EXISTS pepper (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS keys (tag BLOB PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE, key BLOB NOT NULL)
    STRICT, WITHOUT ROWID;
"""
_PSEUDONYM = re.compile(r"~[0-9a-f]{16}")
_IDENTIFIER = re.compile(r"\b(?:person|agent|workload|analyst|operator):[\w@%+./:-]*\w")
PERSONAL = frozenset(  # kinds whose value says who somebody is
    {"principal", "actor", "session", "token", "key", "certificate", "device", "login", "subject", "email"}
)
_OFFICES = ("detector:", "policy:", "guard:")  # authors that are no persons
_TEXTS = frozenset({"reason", "detail"})  # fields of words, with names among them
_ROWS = (list, tuple)
_NONCE = 12  # bytes
_CACHE = 10_000  # names
_Field = tuple[dict[str, Any], str]  # a part of a record's tree, and a field of it


class Names:
    """Pseudonyms of identifiers. One instance belongs to one thread.

    `ledger` is the connection whose transaction the sealed names are written in. New keys wait in a transaction of
    their own: `commit` them before the ledger's, so that what is on record has its key.
    """

    def __init__(self, ledger: sqlite3.Connection, path: Path) -> None:
        self._ledger = ledger
        self._keys = open_keys(path)
        self._known: OrderedDict[str, str] = OrderedDict()
        (self._pepper,) = self._keys.execute("SELECT value FROM pepper").fetchone()

    def close(self) -> None:
        """Close the file of keys."""
        self._keys.close()

    def commit(self) -> None:
        """Make new keys durable, all with one sync. Raises sqlite3.Error."""
        if self._keys.in_transaction:
            self._keys.execute("COMMIT")

    def roll_back(self) -> None:
        """Forget new keys, and what was written with them: it is not there."""
        self._known.clear()
        if self._keys.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._keys.execute("ROLLBACK")

    def pseudonym(self, name: str) -> str:
        """The name's pseudonym, made on first use. Raises sqlite3.Error."""
        if known := self._known.get(name):
            self._known.move_to_end(name)
            return known
        pseudonym, key = self._key(name)
        sealed = _seal(name, pseudonym, key)
        self._ledger.execute("INSERT OR IGNORE INTO names VALUES (?, ?)", (pseudonym, sealed))
        self._known[name] = pseudonym
        if len(self._known) > _CACHE:
            self._known.popitem(last=False)
        return pseudonym

    def find(self, name: str) -> str | None:
        """The name's pseudonym, if it has one. Raises sqlite3.Error."""
        row = self._keys.execute("SELECT pseudonym FROM keys WHERE tag = ?", (self._tag(name),)).fetchone()
        return str(row[0]) if row else None

    def reveal(self, pseudonym: str) -> str:
        """The name behind a pseudonym, or the pseudonym itself where its key was erased or it is none of ours."""
        key = self._keys.execute("SELECT key FROM keys WHERE pseudonym = ?", (pseudonym,)).fetchone()
        sealed = self._ledger.execute("SELECT sealed FROM names WHERE pseudonym = ?", (pseudonym,)).fetchone()
        if key is None or sealed is None:
            return pseudonym
        try:
            nonce, text = sealed[0][:_NONCE], sealed[0][_NONCE:]
            return AESGCM(key[0]).decrypt(nonce, text, pseudonym.encode()).decode()
        except (InvalidTag, ValueError):
            return pseudonym

    def erase(self, name: str) -> bool:
        """Forget the name's key, for good. False where there was none. Raises sqlite3.Error."""
        self._known.pop(name, None)
        erased = self._keys.execute("DELETE FROM keys WHERE tag = ?", (self._tag(name),)).rowcount
        self._keys.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the key is not left in the log either
        return erased > 0

    def conceal(self, tree: dict[str, Any], heard: bool = False) -> dict[str, Any]:
        """A record's tree with pseudonyms in place of names: the same tree, changed.

        Words that were `heard`, from a line and not from us, make no new names: they could make any number.
        """
        named, texts = _fields(tree)
        names = sorted({str(part[field]) for part, field in named}, key=len, reverse=True)
        for part, field in named:
            part[field] = self.pseudonym(part[field])
        for part, field in texts:
            part[field] = self._conceal_text(part[field], names, self._if_known if heard else self.pseudonym)
        return tree

    def reveal_all(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Reverse of `conceal`, as far as keys are left."""
        named, texts = _fields(tree)
        for part, field in named:
            part[field] = self.reveal(part[field])
        for part, field in texts:
            part[field] = _PSEUDONYM.sub(lambda match: self.reveal(match[0]), part[field])
        return tree

    def _conceal_text(self, text: str, names: list[str], called: Callable[[str], str]) -> str:
        known = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names if name in text)
        pattern = re.compile(f"{known}|{_IDENTIFIER.pattern}") if known else _IDENTIFIER  # compiling takes most of a ms
        return pattern.sub(lambda match: called(match[0]), text)

    def _if_known(self, name: str) -> str:
        return self.pseudonym(name) if self.find(name) else name

    def _key(self, name: str) -> tuple[str, bytes]:
        tag = self._tag(name)
        row = self._keys.execute("SELECT pseudonym, key FROM keys WHERE tag = ?", (tag,)).fetchone()
        if row:
            return str(row[0]), bytes(row[1])
        pseudonym, key = f"~{os.urandom(8).hex()}", AESGCM.generate_key(256)
        if not self._keys.in_transaction:
            self._keys.execute("BEGIN IMMEDIATE")
        self._keys.execute("INSERT INTO keys VALUES (?, ?, ?)", (tag, pseudonym, key))
        return pseudonym, key

    def _tag(self, name: str) -> bytes:
        return hmac.digest(self._pepper, name.encode("utf-8", "surrogatepass"), "sha256")


def is_pseudonym(text: str) -> bool:
    """Whether a text has the form of a pseudonym."""
    return _PSEUDONYM.fullmatch(text) is not None


def open_keys(path: Path) -> sqlite3.Connection:
    """The file of keys, made on first use with mode 0600. Raises OSError, sqlite3.Error."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    keys = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        keys.execute(f"PRAGMA {pragma}")
    if not _peppered(keys):  # a second opener must not wait for the first one's transaction
        keys.executescript(_KEYS)
        keys.execute("INSERT OR IGNORE INTO pepper VALUES (1, ?)", (os.urandom(32),))
    return keys


def has_keys(path: Path) -> bool:
    """Whether a file is one of keys, and no empty or half one. Raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as keys:
        return _peppered(keys)


def _peppered(keys: sqlite3.Connection) -> bool:
    made = keys.execute("SELECT 1 FROM sqlite_schema WHERE name = 'pepper'").fetchone()
    return bool(made and keys.execute("SELECT 1 FROM pepper").fetchone())


def _seal(name: str, pseudonym: str, key: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, name.encode(), pseudonym.encode())


def _fields(tree: dict[str, Any]) -> tuple[list[_Field], list[_Field]]:
    """Fields of a record's tree that hold a name, and fields of text that may have names in it."""
    named: list[_Field] = []
    texts: list[_Field] = []
    _find(tree, named, texts)
    return named, texts


def _find(part: dict[str, Any], named: list[_Field], texts: list[_Field]) -> None:
    personal = part.get("kind") in PERSONAL
    for field, value in part.items():
        kind = type(value)
        if kind is str:
            if field in _TEXTS:
                texts.append((part, field))
            elif (
                (personal and field == "value")
                or field == "principal"
                or (field == "by" and not value.startswith(_OFFICES))
            ):
                named.append((part, field))
        elif kind is dict:
            _find(value, named, texts)
        elif kind in _ROWS and value and type(value[0]) is dict:  # rows of plain values name nobody
            for each in value:
                _find(each, named, texts)
