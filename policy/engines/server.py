"""Where a real OPA is, who it must prove to be, and when it counts as away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OpaTls:
    """PEM files. The server's certificate is always verified, its name too."""

    ca: Path | None = None  # authorities that may vouch for OPA; none means the system's
    certificate: Path | None = None  # ours, where OPA asks for one
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class OpaServer:
    """One OPA's address, and the bounds within which it is asked."""

    host: str = "127.0.0.1"
    port: int = 8181
    token: str | None = None
    tls: OpaTls | None = None  # none means plain HTTP
    timeout: float = 0.25  # seconds for a question, however often it is asked
    pool: int = 16  # connections at most; a question beyond them waits for one
    failures: int = 5  # in a row, until OPA is left alone
    pause: float = 1.0  # seconds for which it is
