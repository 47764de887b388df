"""What the gateway says became of a request, for the access log: "allow", "step_up", "deny", or "deny:" and the id of
the block that refused it.
"""

from __future__ import annotations


def effect_of(text: str) -> tuple[str, str]:
    """Outcome, and the block's id; "" where there is none."""
    outcome, _, block = text.partition(":")
    return outcome, block
