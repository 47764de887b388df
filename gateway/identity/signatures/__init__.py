"""Who signs its requests (RFC 9421, as Web Bot Auth uses it). A message is a request as it came; components are the
parts of it that a signature covers; the signature base is their bytes; what is presented becomes signed once a key has
verified it. A directory holds an agent's keys.
"""

from gateway.identity.signatures.base import signature_base
from gateway.identity.signatures.derived import derived
from gateway.identity.signatures.directory import Directory
from gateway.identity.signatures.directory_client import DirectoryClient
from gateway.identity.signatures.message import Message
from gateway.identity.signatures.presented import Presented, presented
from gateway.identity.signatures.verify import Replay, Signed, verify_signature

__all__ = [
    "Directory",
    "DirectoryClient",
    "Message",
    "Presented",
    "Replay",
    "Signed",
    "derived",
    "presented",
    "signature_base",
    "verify_signature",
]
