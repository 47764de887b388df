"""A step claims something and checks it: a claim that does not hold ends the step with these words."""

from __future__ import annotations


class Untrue(Exception):
    """A claim of the story does not hold; the message says which and what was seen."""


def expect(holds: object, claim: str) -> None:
    """Raises Untrue unless the claim holds."""
    if not holds:
        raise Untrue(claim)
