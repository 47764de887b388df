"""An access request is the question put to the PDP; a decision is its answer (AuthZEN 1.0's words)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from policy.principal import Principal
from policy.rego.reading import Path, Reading

Effect = Literal["allow", "deny", "step_up"]
_NOTHING = Reading((), [])


class AccessRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who wants to do what to which resource, in which context. One request, or one stream at its start."""

    principal: Principal
    action: str  # HTTP method, or "CALL" for gRPC
    service: str  # the service of the matched route
    path: str  # normalised path without query
    query: str = ""
    host: str = ""
    address: str = ""  # the caller's address that counts
    stream: bool = False  # a long-lived stream, tethered
    body: Any = None  # parsed JSON where the route asks for it
    device: dict[str, Any] | None = None  # the caller's device and its posture, where they are known
    context: dict[str, Any] = {}  # what an AuthZEN enforcement point says of the circumstances
    time: float = 0.0  # Unix seconds


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The PDP's answer. `allow` is the only effect that lets anything pass."""

    id: str  # "d-" and 16 hex digits; in every answer, log and metric exemplar
    effect: Effect
    reasons: tuple[str, ...]  # machine-readable, fit for the caller: "not_your_account", "over_limit"
    revision: str  # policy revision that judged
    obligations: dict[str, Any] = {}  # "acr_values", "max_age" for a step-up
    entrypoint: str = "portcullis/access"
    reading: Reading = _NOTHING  # what the policy read for this answer

    @property
    def depends(self) -> frozenset[Path]:
        """Paths of input and data, and impure builtins by name, that this answer depends on: no change of anything else
        would have changed it.
        """
        return self.reading.paths()

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""
        return self.effect == "allow"
