"""By what a principal is named outside its requests: in revocations, in security events, in orders to cut."""

from __future__ import annotations

from collections.abc import Iterator

from policy import Principal


def names_of(principal: Principal, device: str) -> Iterator[tuple[str, str]]:
    """Kinds and values. What its issuer named stands behind the issuer, so that nobody speaks for another's. `device`:
    the one that it names, "" for none.
    """
    attributes, issuer = principal.attributes, principal.issuer
    yield "principal", principal.id
    for actor in dict.fromkeys(principal.chain()):
        yield "actor", actor
    yield "subject", f"{issuer} {subject_of(principal)}"
    issued = (("subject", attributes.get("sub")), ("token", principal.token), ("login", attributes.get("sid")))
    for kind, value in issued:
        if isinstance(value, str) and value:
            yield kind, f"{issuer} {value}"
    confirmation = attributes.get("cnf")
    key = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    for kind, value in (("device", device), ("email", attributes.get("email")), ("key", key)):
        if isinstance(value, str) and value:
            yield kind, value


def subject_of(principal: Principal) -> str:
    """Its name without its kind, as its issuer knows it."""
    return principal.id.partition(":")[2]
