"""What may be blocked. A rule is a pure function that answers with a reason, or nothing; the guard asks each rule in
turn and answers with a permit, a refusal or a hold, which waits for a second person; activity is who the bank's good
callers of the last hour are, and the radius of a block is whom of them it would hit; harm is what it does to them.
Nothing reaches the ledger or a line without a permit, and only the guard makes one.
"""

from defense_lines.guard.activity import WEEK, WINDOW, Activity, Sighting, Snapshot
from defense_lines.guard.blast_radius import Callers, Radius
from defense_lines.guard.four_eyes import same_person
from defense_lines.guard.judge import Guard, Judgement, Leave
from defense_lines.guard.limits import GuardLimits
from defense_lines.guard.permit import Approved, Hold, Override, Permit, Refusal
from defense_lines.guard.places import canonical
from defense_lines.guard.prefixes import Prefixes
from defense_lines.guard.spans import Span, span
from defense_lines.guard.watches import Harmed, Request, Watch, Watches

__all__ = [
    "WEEK",
    "WINDOW",
    "Activity",
    "Approved",
    "Callers",
    "Guard",
    "GuardLimits",
    "Harmed",
    "Hold",
    "Judgement",
    "Leave",
    "Override",
    "Permit",
    "Prefixes",
    "Radius",
    "Refusal",
    "Request",
    "Sighting",
    "Snapshot",
    "Span",
    "Watch",
    "Watches",
    "canonical",
    "same_person",
    "span",
]
