"""One live stream, tethered to the gateway for as long as it lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.identity import Evidence, names_of
from gateway.sessions.cut import Cut
from policy import AccessRequest, Decision, ReadPath

Index = tuple[str, str]  # what sessions are found by: ("actor", "agent:x"), ("address", "10.0.0.5"), …
_NO_EVIDENCE = Evidence()


@dataclass(slots=True, eq=False)
class Session:
    """A stream under a decision. `end` resets the stream at once; it is called at most once, with the cut. When it is
    judged again and may live on, `decision` and `judged` are the newer ones'.
    """

    id: str  # the id of the decision that opened it
    request: AccessRequest
    decision: Decision
    since: float  # Unix seconds
    end: Callable[[Cut], None]
    evidence: Evidence = _NO_EVIDENCE
    device: str = ""  # id of the device that the principal names
    judged: float = 0.0  # Unix seconds, of the last time
    depends: frozenset[ReadPath] = field(default=frozenset())  # under which paths of data it is found

    def indexes(self) -> Iterator[Index]:
        """Everything by which this session is found, each once."""
        return iter(dict.fromkeys(self._indexes()))

    def _indexes(self) -> Iterator[Index]:
        evidence = self.evidence
        yield "session", self.id
        yield "service", self.request.service
        yield from names_of(self.request.principal, self.device)
        known = (("address", self.request.address), ("issuer", evidence.issuer), ("key", evidence.key))
        yield from ((kind, value) for kind, value in known if value)
        if evidence.certificate is not None:
            yield "certificate", evidence.certificate.thumbprint
            yield "evidence", "certificate"
