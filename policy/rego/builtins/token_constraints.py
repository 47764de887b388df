"""What `io.jwt.decode_verify` may be told that a token must meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from policy.rego.builtins.arithmetic import number
from policy.rego.builtins.comparison import less
from policy.rego.builtins.operands import octets
from policy.rego.builtins.partial import string
from policy.rego.builtins.webkeys import WebKey, verification_keys
from policy.rego.values import UNDEFINED

SECOND = 1e9  # in nanoseconds
_NAMES = frozenset({"cert", "secret", "alg", "iss", "aud", "time"})


@dataclass(frozen=True, slots=True)
class Constraints:
    """Trusted keys, the algorithm and claims that a token must have ("" where none is asked), the time in seconds."""

    keys: tuple[WebKey, ...]
    algorithm: str
    issuer: str
    audience: str
    time: float

    def met_by(self, claims: dict[Any, Any]) -> bool:
        """Whether the claims fit (RFC 7519, section 4.1). Raises ValueError if one of them has a wrong type.

        A token with an audience needs one to be asked; it expires at `exp`, and is good from `nbf` on.
        """
        return self._issued(claims) and self._addressed(claims) and self._in_time(claims)

    def _issued(self, claims: dict[Any, Any]) -> bool:
        return not self.issuer or ("iss" in claims and string(claims["iss"]) == self.issuer)

    def _addressed(self, claims: dict[Any, Any]) -> bool:
        audience = claims.get("aud", "")
        return self.audience in (audience if type(audience) is list else [audience])

    def _in_time(self, claims: dict[Any, Any]) -> bool:
        if "exp" in claims and not less(self.time, _number(claims["exp"])):
            return False
        return "nbf" not in claims or not less(self.time, _number(claims["nbf"]))


def read_constraints(given: dict[Any, Any], now: int) -> Constraints:
    """Constraints of an object; `now`, in nanoseconds, where it names no time. Raises ValueError."""
    if not given.keys() <= _NAMES:
        raise ValueError("an unknown constraint")
    secret, certificate = string(given.get("secret", "")), given.get("cert", UNDEFINED)
    if bool(secret) is (certificate is not UNDEFINED):
        raise ValueError("one secret or certificate is needed")
    keys = (WebKey("", "", octets(secret)),) if secret else verification_keys(string(certificate))
    algorithm, issuer, audience = (string(given.get(name, "")) for name in ("alg", "iss", "aud"))
    return Constraints(keys, algorithm, issuer, audience, _seconds(given.get("time", now)))


def _seconds(time: Any) -> float:
    try:
        seconds = float(_number(time)) / SECOND
    except OverflowError as error:
        raise ValueError("a time too far") from error
    if not 0 <= seconds < math.inf:
        raise ValueError("a time before 1970 or too far")
    return seconds


def _number(value: Any) -> Any:
    if not number(value):
        raise ValueError("not a number")
    return value
