"""What a principal's proof rests on, for as long as a stream lives on it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.identity.client_certificate import ClientCertificate


@dataclass(frozen=True, slots=True)
class Evidence:
    """Kept of the credentials when a stream begins. None of it is secret, but for a token that only its issuer can
    read: that must be asked about again.
    """

    digest: bytes = b""  # of token and certificate, by which the same credentials are known again
    issuer: str = ""  # whose key signed the token, "" where none did
    key: str = ""  # that key's thumbprint (RFC 7638)
    holder: str = ""  # thumbprint of the key that the sender proved to hold, if any
    certificate: ClientCertificate | None = None
    opaque: str = ""  # the token, where its issuer was asked about it
