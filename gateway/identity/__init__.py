"""Who asks. Credentials are what a request shows; identification turns them into a principal, or a refusal that
says what was wrong with them. Keys come from each issuer's JWKS and change under way.
"""

from gateway.identity.credentials import Credentials
from gateway.identity.delegation import kind_of, principal_id
from gateway.identity.identifier import Identifier, UnknownKey
from gateway.identity.jwks import JwksClient, KeySet
from gateway.identity.refusal import Refusal

__all__ = ["Credentials", "Identifier", "JwksClient", "KeySet", "Refusal", "UnknownKey", "kind_of", "principal_id"]
