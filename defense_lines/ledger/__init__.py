"""What stands on record. A record is one thing decided about blocks; an entry is a record with its place in the chain;
the head is the signed hash of the last entry, kept outside the database; names are the identifiers that records hold
only as pseudonyms, each under a key that can be erased; a story is all that happened to one block.
"""

from defense_lines.ledger.entry import Entry
from defense_lines.ledger.faults import InvalidRecord, LedgerAltered, LedgerInUse, LedgerUnwritable
from defense_lines.ledger.head import Head, public_key
from defense_lines.ledger.ledger import Erasure, Ledger
from defense_lines.ledger.orders import Whom
from defense_lines.ledger.places import Places
from defense_lines.ledger.record import (
    Answer,
    Answered,
    Answers,
    Approval,
    Batch,
    Blocked,
    Concluded,
    Cut,
    DataChange,
    Declared,
    Held,
    Lift,
    Noted,
    Posture,
    Record,
    Refused,
    Revocation,
    Risk,
    Staged,
)
from defense_lines.ledger.story import Story
from defense_lines.ledger.verify import Finding, verify

__all__ = [
    "Answer",
    "Answered",
    "Answers",
    "Approval",
    "Batch",
    "Blocked",
    "Concluded",
    "Cut",
    "DataChange",
    "Declared",
    "Entry",
    "Erasure",
    "Finding",
    "Head",
    "Held",
    "InvalidRecord",
    "Ledger",
    "LedgerAltered",
    "LedgerInUse",
    "LedgerUnwritable",
    "Lift",
    "Noted",
    "Places",
    "Posture",
    "Record",
    "Refused",
    "Revocation",
    "Risk",
    "Staged",
    "Story",
    "Whom",
    "public_key",
    "verify",
]
