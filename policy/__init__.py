"""What is allowed. A principal asks; the PDP answers an access request with a decision; verdicts become block
policies. Rules are Rego, in revisions that change as a whole.
"""

from policy.block import BlockPolicy, Cause, InvalidTarget, Target, TargetKind
from policy.decision import AccessRequest, Decision, Effect
from policy.principal import Actor, Principal, PrincipalKind

__all__ = [
    "AccessRequest",
    "Actor",
    "BlockPolicy",
    "Cause",
    "Decision",
    "Effect",
    "InvalidTarget",
    "Principal",
    "PrincipalKind",
    "Target",
    "TargetKind",
]
