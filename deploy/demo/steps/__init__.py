"""The nine steps of the story, in order. A step acts on the world, checks each claim, and tells what it saw."""

from collections.abc import Awaitable, Callable

from deploy.demo.steps.expiry import blocks_expire_and_ledger_verifies
from deploy.demo.steps.paying import agent_pays_within_its_limit
from deploy.demo.steps.policy_change import analyst_tightens_policy
from deploy.demo.steps.reading import person_reads_her_account
from deploy.demo.steps.reports import sensors_report
from deploy.demo.steps.spoofing import spoofed_report_is_refused
from deploy.demo.steps.streaming import streams_are_live
from deploy.demo.steps.survival import gateway_is_killed
from deploy.demo.steps.takeover import agent_is_taken_over
from deploy.demo.world import World

Step = Callable[[World], Awaitable[str]]

STEPS: tuple[tuple[str, Step], ...] = (
    ("A person reads her account, and nobody else's", person_reads_her_account),
    ("Her agent pays within its limit", agent_pays_within_its_limit),
    ("Live streams", streams_are_live),
    ("The agent is taken over and stopped", agent_is_taken_over),
    ("Endpoint and branch sensors report", sensors_report),
    ("A spoofed report is refused", spoofed_report_is_refused),
    ("Policy changes while running; break-glass", analyst_tightens_policy),
    ("The gateway is killed; every block stands", gateway_is_killed),
    ("A block expires; the ledger verifies", blocks_expire_and_ledger_verifies),
)

__all__ = ["STEPS", "Step"]
