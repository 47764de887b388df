"""An attempt is one request as an enforcement point saw it; an answer is what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from gateway.identity import Credentials, Message
from gateway.transactions import HEADER as TRANSACTION_HEADER
from policy import AccessRequest, Decision, Principal

# What stays here: a caller's proofs are for the gateway, never for what is behind it.
CREDENTIAL_HEADERS: Final = ("authorization", "dpop", "signature", "signature-input", "x-forwarded-client-cert")


SIGNED_HEADERS: Final = ("authorization", "content-digest", "signature", "signature-agent", "signature-input")


class Content(msgspec.Struct, frozen=True, gc=False):
    """What an enforcement point knows of a request's content."""

    body: bytes | None  # all of it, b"" for none; None where it was not read, or not to its end
    unread: bool = False  # whether there is certainly some, where it was not read


NOTHING: Final = Content(b"")
UNREAD: Final = Content(None, unread=True)
UNKNOWN: Final = Content(None)  # what the method lets one expect


def request_of(
    get: Callable[[str], str], method: str, scheme: str, host: str, target: str, content: Content
) -> Message:
    """A request that proves something by itself, as its sender saw it. `get` finds a header by its name in lower case,
    "" for none.
    """
    path, mark, query = target.partition("?")
    headers = tuple((name, value) for name in SIGNED_HEADERS if (value := get(name)))
    return Message(
        method=method,
        scheme=scheme,
        authority=host,
        path=path,
        query=query if mark else None,
        headers=headers,
        body=content.body,
        unread=content.unread,
    )


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """A request's head, and its body where the route shows it to policy."""

    method: str
    target: str  # path and query, normalised by the edge
    host: str
    address: str  # the caller's address that counts
    credentials: Credentials
    body: bytes = b""


class Refused(msgspec.Struct):
    """The body of a refusal: what a caller may know, and the id under which we know the rest."""

    error: str
    reasons: tuple[str, ...]
    decision: str
    cut: str | msgspec.UnsetType = msgspec.UNSET  # which ended the caller's stream a moment ago


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What becomes of an attempt. Status 200 lets it pass; anything else is sent to the caller."""

    status: int
    id: str  # the decision's id, or the refusal's own
    effect: str  # allow, deny or step_up, for the access log; "deny:b-…" where that block refuses
    reasons: tuple[str, ...] = ()
    challenge: str = ""  # WWW-Authenticate
    nonce: str = ""  # DPoP-Nonce
    transaction: str = ""  # the transaction token by which the upstream learns who asks
    principal: Principal | None = None  # who asked, once identified
    request: AccessRequest | None = None  # what the PDP was asked
    decision: Decision | None = None  # the PDP's, where it was asked
    cut: str = ""  # id of the cut that ended this caller's stream a moment ago
    route: str = ""  # binding of the route for which it may pass

    @property
    def allowed(self) -> bool:
        """Whether the attempt may pass."""
        return self.status == 200

    def identity(self) -> Iterator[tuple[str, str]]:
        """Headers that tell the upstream, and the access log, who asked and under which decision."""
        yield "x-portcullis-decision", self.id
        if self.principal is not None:
            yield "x-portcullis-subject", self.principal.id
            yield "x-portcullis-actor", self.principal.actor

    def upstream(self) -> Iterator[tuple[str, str]]:
        """Headers for the upstream alone: the token is in no log."""
        yield from self.identity()
        if self.transaction:
            yield TRANSACTION_HEADER, self.transaction

    def body(self) -> bytes:
        """The caller's JSON: reasons in our policy's words, and nothing that helps an attacker."""
        return _ENCODER.encode(
            Refused(_ERRORS.get(self.status, "refused"), self.reasons, self.id, self.cut or msgspec.UNSET)
        )


_ENCODER = msgspec.json.Encoder()
_ERRORS = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 503: "unavailable"}
