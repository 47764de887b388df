"""One live stream, tethered to the gateway for as long as it lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.identity import Evidence
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
        """Everything by which this session is found."""
        principal, evidence = self.request.principal, self.evidence
        yield "session", self.id
        yield "principal", principal.id
        yield "subject", f"{principal.issuer} {principal.id.partition(':')[2]}"
        yield from self._named("subject", self._claimed("sub"))
        for actor in dict.fromkeys(principal.chain()):
            yield "actor", actor
        yield "service", self.request.service
        yield from self._named("address", self.request.address)
        yield from self._named("token", f"{principal.issuer} {principal.token}" if principal.token else "")
        yield from self._named("login", self._claimed("sid"))
        yield from self._named("email", str(principal.attributes.get("email", "")))
        yield from self._named("device", self.device)
        yield from self._named("issuer", evidence.issuer)
        for key in {evidence.key, evidence.holder} - {""}:
            yield "key", key
        if evidence.certificate is not None:
            yield "certificate", evidence.certificate.thumbprint
            yield "evidence", "certificate"

    def _named(self, kind: str, value: str) -> Iterator[Index]:
        if value:
            yield kind, value

    def _claimed(self, name: str) -> str:
        """A claim that counts with who made it."""
        principal = self.request.principal
        value = principal.attributes.get(name)
        return f"{principal.issuer} {value}" if isinstance(value, str) and value else ""
