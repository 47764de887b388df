"""The variants: HTTP/1.1 or gRPC unary, with and without TLS at the edge; and what is asked in each."""

from __future__ import annotations

from dataclasses import dataclass

ALICE = "person:alice"
ACCOUNT = "/accounts/1001"
BALANCE = "/bank.Ledger/Balance"
SCOPE = "accounts:read ledger:read"
ASKED = b"\x0a\x041001"  # a bank.AccountRequest
ANSWER = b"\x0a\x041001\x10\x90\x4e"  # a bank.Statement


@dataclass(frozen=True)
class Variant:
    """One of the four."""

    name: str
    grpc: bool
    tls: bool

    @property
    def suffix(self) -> str:
        """Of figures' names: none for HTTP/1.1 without TLS."""
        return "" if self.name == "http" else f"_{self.name}"

    @property
    def path(self) -> str:
        """What is asked for under load."""
        return BALANCE if self.grpc else ACCOUNT

    def url(self, port: int) -> str:
        """Where the load goes."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{port}{self.path}"


VARIANTS = (
    Variant("http", grpc=False, tls=False),
    Variant("grpc", grpc=True, tls=False),
    Variant("tls", grpc=False, tls=True),
    Variant("grpc_tls", grpc=True, tls=True),
)
