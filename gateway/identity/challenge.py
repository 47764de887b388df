"""What a caller is told to do: the WWW-Authenticate header of a refusal, and of a step-up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.config import Identity
from gateway.identity import dpop
from gateway.identity.refusal import Refusal
from policy import Principal

_DPOP = ("invalid_dpop_proof", "use_dpop_nonce")
_UNQUOTED: Final = re.compile(r"[^ !#-\[\]-~]")  # what RFC 6750 section 3 lets stand in no attribute
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2


def of(refusal: Refusal, settings: Identity) -> str:
    """The challenges that a refusal answers with: for each scheme that is configured, the one that failed with its
    error (RFC 6750 section 3, RFC 9449 section 7.1).
    """
    possession = refusal.error in _DPOP
    told = "" if possession or refusal.error == "invalid_signature" else refusal.error
    challenges = [] if possession else [_bearer(settings.realm, told)]
    if settings.dpop is not None:
        error = refusal.error if possession or refusal.error == "invalid_token" else ""
        challenges.append(dpop.challenge(settings.realm, settings.dpop.algorithms, error))
    return ", ".join(challenges)


def step_up(realm: str, principal: Principal, obligations: Mapping[str, Any]) -> tuple[int, str]:
    """Status and challenge where more is wanted: of a person, to authenticate again (RFC 9470 section 3); of an agent
    or a workload, which cannot, a token with more scope (RFC 6750 section 3.1).
    """
    scheme = "DPoP" if "dpop" in principal.proof else "Bearer"
    if principal.kind == "person" and not principal.actors:
        wanted = "".join(_attribute(name, value) for name, value in sorted(obligations.items()))
        return 401, f'{scheme} realm="{realm}", error="insufficient_user_authentication"{wanted}'
    scope = obligations.get("scope")
    return 403, f'{scheme} realm="{realm}", error="insufficient_scope"' + (_attribute("scope", scope) if scope else "")


def _attribute(name: str, value: Any) -> str:
    """One more of a challenge, if its name is one. A policy may say what a caller sent: that ends no header, and begins
    no other.
    """
    return f', {name}="{_UNQUOTED.sub("?", str(value))}"' if _TOKEN.fullmatch(name) else ""


def _bearer(realm: str, error: str) -> str:
    """Without an error code where no credentials came."""
    return f'Bearer realm="{realm}"' + (f', error="{error}"' if error else "")
