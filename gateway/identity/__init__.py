"""Who asks. Credentials are what a request shows; identification turns them into a principal, or a refusal that
says what was wrong with them. Keys come from each issuer's JWKS and change under way.
"""

from gateway.identity.credentials import Credentials
from gateway.identity.delegation import kind_of, principal_id
from gateway.identity.discovery import Discovery
from gateway.identity.identifier import Identifier
from gateway.identity.introspection import Introspector
from gateway.identity.jwks import KeySet, UnknownKey
from gateway.identity.jwks_client import JwksClient
from gateway.identity.refusal import Refusal

__all__ = [
    "Credentials",
    "Discovery",
    "Identifier",
    "Introspector",
    "JwksClient",
    "KeySet",
    "Refusal",
    "UnknownKey",
    "kind_of",
    "principal_id",
]
