"""What may be blocked. A rule is a pure function that answers with a reason to refuse, or nothing; the guard asks each
rule in turn and answers with a permit or a refusal; activity is who the bank's good callers of the last hour are.
Nothing reaches the ledger or a line without a permit, and only the guard makes one.
"""

from defense_lines.guard.activity import Activity
from defense_lines.guard.judge import Guard
from defense_lines.guard.limits import GuardLimits
from defense_lines.guard.permit import Override, Permit, Refusal

__all__ = ["Activity", "Guard", "GuardLimits", "Override", "Permit", "Refusal"]
