"""What goes upstream: a transaction token is a short-lived JWT in which the gateway says who asks, on whose behalf and
of which service (draft-ietf-oauth-transaction-tokens). A minter makes them and uses each again for a while; signing
keys stand in a key ring, which turns by period, and whose public half is published as a JWKS.
"""

from gateway.transactions.act import act_claim
from gateway.transactions.key_file import SigningKeys
from gateway.transactions.keys import KeyRing, Rotation, SigningKey
from gateway.transactions.mint import HEADER, Minter

__all__ = ["HEADER", "KeyRing", "Minter", "Rotation", "SigningKey", "SigningKeys", "act_claim"]
