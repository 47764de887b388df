"""Where each thing lies on a shelf."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from detectors.models.refused import ModelRefused

_REVISION = re.compile(r"([a-z][a-z0-9_]*)-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Places:
    """A shelf's files, all in one folder. The private key alone is mode 0600: nothing else here is secret."""

    folder: Path

    @property
    def key(self) -> Path:
        """The Ed25519 private key that signs what is made here (PEM)."""
        return self.folder / "shelf.key"

    @property
    def public_key(self) -> Path:
        """Its public half, for shelves elsewhere that are to trust it (PEM)."""
        return self.folder / "shelf.pub"

    @property
    def lock(self) -> Path:
        """Locked while something is changed."""
        return self.folder / "shelf.lock"

    def room(self, schema: str) -> Path:
        """What there is of one schema."""
        return self.folder / schema

    def history(self, schema: str) -> Path:
        """What is in force, and what was; signed."""
        return self.room(schema) / "in-force.json"

    def revision(self, revision: str) -> Path:
        """A revision's folder. Raises ModelRefused for a name that is none."""
        return self.room(schema_of(revision)) / revision

    def signature(self, revision: str) -> Path:
        """The signature of a revision's card, written last of its files. Raises ModelRefused."""
        return self.revision(revision) / "card.sig"

    def created(self, revision: str) -> float:
        """Unix seconds at which a revision was put on the shelf. Raises ModelRefused, OSError."""
        signature = self.signature(revision)
        return (signature if signature.is_file() else signature.parent).stat().st_mtime

    def evaluation(self, revision: str) -> Path:
        """How it did beside what was in force, last time; signed. Raises ModelRefused."""
        return self.revision(revision) / "evaluation.json"

    def revisions(self, schema: str) -> list[str]:
        """The names of all revisions of a schema, good or not. Raises OSError but for a folder that is not there."""
        room = self.room(schema)
        found = room.iterdir() if room.is_dir() else ()
        return sorted(path.name for path in found if _REVISION.fullmatch(path.name) and path.is_dir())


def schema_of(revision: str) -> str:
    """The schema's name in a revision's. Raises ModelRefused."""
    match = _REVISION.fullmatch(revision)
    if not match:
        raise ModelRefused(f"{revision!r} is not the name of a revision")
    return match[1]
