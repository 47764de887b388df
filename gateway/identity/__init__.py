"""Who asks. Credentials are what a request shows; identification turns them into a principal, or a refusal that
says what was wrong with them, and a challenge that says what to do. What is missing (a key, an issuer's word on an
opaque token) is asked for, and identification tried again.
"""

from gateway.identity import challenge, client_certificate
from gateway.identity.bearer import Opaque
from gateway.identity.credentials import Credentials
from gateway.identity.delegation import kind_of, principal_id
from gateway.identity.discovery import Discovery
from gateway.identity.evidence import Evidence
from gateway.identity.identifier import Identifier, Missing, digest
from gateway.identity.introspection import Introspector
from gateway.identity.jwk import public_key
from gateway.identity.jwks import KeySet, UnknownKey
from gateway.identity.jwks_client import JwksClient
from gateway.identity.names import names_of, subject_of
from gateway.identity.proofs import Proofs
from gateway.identity.refusal import Refusal
from gateway.identity.signatures import Message

__all__ = [
    "Credentials",
    "Discovery",
    "Evidence",
    "Identifier",
    "Introspector",
    "JwksClient",
    "KeySet",
    "Message",
    "Missing",
    "Opaque",
    "Proofs",
    "Refusal",
    "UnknownKey",
    "challenge",
    "client_certificate",
    "digest",
    "kind_of",
    "names_of",
    "principal_id",
    "public_key",
    "subject_of",
]
