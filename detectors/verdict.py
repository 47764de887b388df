"""A verdict is a detector's judgement of one subject, with its reasons."""

from __future__ import annotations

from typing import Literal

import msgspec

SubjectKind = Literal["principal", "actor", "session", "address", "host"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Score at or above threshold means hostile. Immutable; the same judgement always has the same fields."""

    id: str  # "v-" and 16 hex digits
    time: float  # Unix seconds when it was judged
    detector: str  # "access", "flow", "pair", "name", "endpoint", "alert", "correlation"
    kind: SubjectKind
    subject: str  # principal id, session id, address or host, by kind
    score: float  # calibrated probability, 0 to 1
    threshold: float  # the score from which the detector calls it hostile
    evidence: tuple[str, ...]  # in words, the strongest reason first
    technique: str  # ATT&CK ("T1087") or ATLAS ("AML.T0053") id
    model: str  # model revision, or "rule:NAME" where no model judged
    since: float  # Unix seconds of the first event that counted
    on_behalf_of: str = ""  # principal id, when the subject acts for somebody
    address: str = ""  # the address it last came from, when known
    session: str = ""  # a session it was seen in, when known
    behind: str = ""  # principal id of who uses the address or host, by what was seen: a guess, with its confidence
    confidence: float = 0.0  # 0 to 1, that it is them; 0 where nobody is named
