"""What can be wrong with a ledger, named by fault."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


class LedgerUnwritable(Exception):
    """The disk's: full, read-only or broken. Nothing of this call was acknowledged; try again when the disk works."""


class LedgerAltered(Exception):
    """Somebody's: the history does not match its chain or its signed head. The ledger stays closed."""


class LedgerInUse(Exception):
    """The operator's: another process, or another opener in this one, has this ledger open."""


class LedgerExists(Exception):
    """The operator's: what would be overwritten is there already."""


class InvalidRecord(ValueError):
    """The caller's: a record that could not be read back as it was written."""


class LedgerNewer(Exception):
    """The operator's: a newer version of Portcullis wrote this ledger, and this one cannot read it."""


@contextmanager
def named_faults() -> Iterator[None]:
    """SQLite's errors by whose fault they are: LedgerUnwritable is the disk's, LedgerAltered somebody's."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise LedgerUnwritable(str(error)) from error
    except (sqlite3.DatabaseError, UnicodeError) as error:
        raise LedgerAltered(f"the database is damaged: {error}") from error
