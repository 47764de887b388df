"""Whether a client certificate still stands. The edge looked when the connection began, which may outlive all of it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.identity.client_certificate import ClientCertificate
from gateway.identity.spiffe import Bundle
from gateway.identity.spiffe.certification import path_to


def fallen(certificate: ClientCertificate, vouching: Sequence[Bundle] | None, now: float) -> str:
    """Why a certificate proves nothing at `now` (Unix seconds); "" if it stands. `vouching`: the authorities that any
    client's certificate may have and what they took back; None where those are for another edge to know.
    """
    if not certificate.begins <= now < certificate.expires:
        return "the client certificate is not valid at this time"
    if vouching is None:
        return ""
    if any(bundle.revoked.any_of(certificate.chain) for bundle in vouching):
        return "the client certificate, or one that it stands on, is revoked"
    path = path_to([each for bundle in vouching for each in bundle.authorities], certificate.chain, now)
    return f"nobody vouches for the client certificate: {path}" if isinstance(path, str) else ""
