"""AuthZEN's metadata about this decision point (Authorization API 1.0, section 9)."""

from __future__ import annotations

WELL_KNOWN = "/.well-known/authzen-configuration"
EVALUATION = "/access/v1/evaluation"
EVALUATIONS = "/access/v1/evaluations"


def metadata(url: str) -> dict[str, str]:
    """What is told at the well-known place; `url` is the identifier that enforcement points know us by, https and
    without a path. No endpoint of the search API is there, so its absence is told.
    """
    base = url.rstrip("/")
    return {
        "policy_decision_point": url,
        "access_evaluation_endpoint": base + EVALUATION,
        "access_evaluations_endpoint": base + EVALUATIONS,
    }
