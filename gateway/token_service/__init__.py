"""The token service (RFC 8693): a person's token is exchanged for one with which her agent acts for her. It says no
more than hers, to no more services, for no longer, in the name of both, and only in the hands of the agent.
"""

from gateway.token_service.application import token_application
from gateway.token_service.exchange import exchange
from gateway.token_service.issued import ExchangeError, Issued, Parties
from gateway.token_service.request import GRANT, ExchangeRequest, read_request

__all__ = [
    "GRANT",
    "ExchangeError",
    "ExchangeRequest",
    "Issued",
    "Parties",
    "exchange",
    "read_request",
    "token_application",
]
