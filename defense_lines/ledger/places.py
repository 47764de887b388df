"""Places are the files that make up one ledger, all in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Where each part lies. All files are mode 0600 but the public key."""

    folder: Path

    @property
    def database(self) -> Path:
        """The entries, their pseudonymous names and the lines' cursors (SQLite, WAL)."""
        return self.folder / "ledger.db"

    @property
    def head(self) -> Path:
        """The signed head, outside the database."""
        return self.folder / "ledger.head"

    @property
    def key(self) -> Path:
        """The Ed25519 private key that signs heads (PEM)."""
        return self.folder / "ledger.key"

    @property
    def public_key(self) -> Path:
        """Its public half, for auditors (PEM)."""
        return self.folder / "ledger.pub"

    @property
    def names(self) -> Path:
        """The key of each name (SQLite): what must be kept out of long-lived backups, so that erasing erases."""
        return self.folder / "ledger.names"

    @property
    def lock(self) -> Path:
        """Locked while the ledger is open."""
        return self.folder / "ledger.lock"
