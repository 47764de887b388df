"""What a bank's service imports to know who asks: the gateway's transaction token, verified.

`verify` checks one token against the gateway's keys; `Jwks` has the keys, from a file or a URL; `verifier.asgi` and
`verifier.grpc_interceptor` do both for every request of a service. Needs pyjwt, cryptography and msgspec, nothing else
of the gateway.
"""

from verifier.jwks import Jwks
from verifier.keys import read_keys
from verifier.transaction import HEADER, NotVerified, Transaction, verify

__all__ = ["HEADER", "Jwks", "NotVerified", "Transaction", "read_keys", "verify"]
