"""What stands on record. A record is one thing decided about blocks; an entry is a record with its place in the chain;
the head is the signed hash of the last entry, kept outside the database; names are the identifiers that records hold
only as pseudonyms, each under a key that can be erased; a story is all that happened to one block.
"""

from defense_lines.ledger.backup import back_up, names_beside, restore
from defense_lines.ledger.chain import Finding
from defense_lines.ledger.entry import Entry
from defense_lines.ledger.faults import (
    InvalidRecord,
    LedgerAltered,
    LedgerExists,
    LedgerInUse,
    LedgerNewer,
    LedgerUnwritable,
)
from defense_lines.ledger.head import Head, public_key
from defense_lines.ledger.keeping import Compaction
from defense_lines.ledger.ledger import Erasure, Ledger
from defense_lines.ledger.orders import Place, Whom, everything
from defense_lines.ledger.places import Places
from defense_lines.ledger.record import (
    Answer,
    Answered,
    Answers,
    Approval,
    Batch,
    Blocked,
    Compacted,
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
    Restored,
    Revocation,
    Risk,
    Staged,
    Synced,
)
from defense_lines.ledger.story import Deed, Part, Story
from defense_lines.ledger.sums import Sums
from defense_lines.ledger.verify import hash_at, moved, verify

__all__ = [
    "Answer",
    "Answered",
    "Answers",
    "Approval",
    "Batch",
    "Blocked",
    "Compacted",
    "Compaction",
    "Concluded",
    "Cut",
    "DataChange",
    "Declared",
    "Deed",
    "Entry",
    "Erasure",
    "Finding",
    "Head",
    "Held",
    "InvalidRecord",
    "Ledger",
    "LedgerAltered",
    "LedgerExists",
    "LedgerInUse",
    "LedgerNewer",
    "LedgerUnwritable",
    "Lift",
    "Noted",
    "Part",
    "Place",
    "Places",
    "Posture",
    "Record",
    "Refused",
    "Restored",
    "Revocation",
    "Risk",
    "Staged",
    "Story",
    "Sums",
    "Synced",
    "Whom",
    "back_up",
    "everything",
    "hash_at",
    "moved",
    "names_beside",
    "public_key",
    "restore",
    "verify",
]
