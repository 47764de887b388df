"""How it is stopped. The guard says which block policies may stand; the ledger makes them durable; the hub pushes
them to every line at once; a line enforces and answers with a receipt.
"""

from defense_lines.guard import Activity, Guard, GuardLimits, Override, Permit, Refusal
from defense_lines.hub import Hub
from defense_lines.ledger import (
    Answer,
    Blocked,
    Cut,
    DataChange,
    Entry,
    Erasure,
    Finding,
    Head,
    InvalidRecord,
    Ledger,
    LedgerAltered,
    LedgerInUse,
    LedgerUnwritable,
    Lift,
    Places,
    Record,
    Refused,
    Revocation,
    Risk,
    Story,
    public_key,
    verify,
)
from defense_lines.line import DefenseLine, EdgePort, LineUnavailable, Outcome, Receipt
from defense_lines.lines.edge import EdgeLine
from defense_lines.orders import Pace
from defense_lines.status import LineStatus

__all__ = [
    "Activity",
    "Answer",
    "Blocked",
    "Cut",
    "DataChange",
    "DefenseLine",
    "EdgeLine",
    "EdgePort",
    "Entry",
    "Erasure",
    "Finding",
    "Guard",
    "GuardLimits",
    "Head",
    "Hub",
    "InvalidRecord",
    "Ledger",
    "LedgerAltered",
    "LedgerInUse",
    "LedgerUnwritable",
    "Lift",
    "LineStatus",
    "LineUnavailable",
    "Outcome",
    "Override",
    "Pace",
    "Permit",
    "Places",
    "Receipt",
    "Record",
    "Refusal",
    "Refused",
    "Revocation",
    "Risk",
    "Story",
    "public_key",
    "verify",
]
