"""Where policy comes from, and who evaluates it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from gateway.config.values import Branch, Integer, Port


class OpaTls(Branch):
    """How OPA proves itself, which it must, and how we do, where it asks."""

    ca: Path | None = None  # none means the system's authorities
    certificate: Path | None = None
    key: Path | None = None


class OpaServer(Branch):
    """A real OPA to ask instead of the embedded engine."""

    host: str = "127.0.0.1"
    port: Port = 8181
    tls: OpaTls | None = None  # none means plain HTTP
    token: SecretStr | None = None
    timeout_ms: Annotated[Integer, Field(ge=1, le=60000)] = 250
    pool: Annotated[Integer, Field(ge=1, le=1024)] = 16  # connections
    failures: Annotated[Integer, Field(ge=1, le=1000)] = 5  # in a row, until it is left alone
    pause_ms: Annotated[Integer, Field(ge=1, le=60000)] = 1000  # for which it is


class PolicyLimits(Branch):
    """What one evaluation may take; one that takes more is stopped and refused."""

    max_steps: Annotated[Integer, Field(ge=1_000)] = 1_000_000
    max_milliseconds: Annotated[Integer, Field(ge=1, le=60000)] = 50


class PolicyOutside(Branch):
    """What policy may know of the world outside: answers that are written down here."""

    runtime: dict[str, Any] | None = None  # what opa.runtime() answers; none means a policy may not ask
    hosts: dict[str, tuple[str, ...]] | None = None  # addresses of each name that net.lookup_ip_addr knows; likewise


class Policy(Branch):
    """Where the Rego lies and which engine evaluates it."""

    engine: Literal["embedded", "opa"] = "embedded"
    paths: tuple[Path, ...] = ()  # .rego files and folders; empty means the starter policy
    data: Path | None = None  # a JSON or YAML document, seen as `data`
    frontend: Literal["auto", "regopy", "opa"] = "regopy"  # who plans the rules; auto: OPA where its binary is
    opa_path: Path | None = None  # OPA's binary; none means the one on PATH
    opa: OpaServer = OpaServer()
    limits: PolicyLimits = PolicyLimits()
    outside: PolicyOutside = PolicyOutside()
    strict_builtin_errors: bool = False  # a builtin's error is the policy's, and refuses; else it is undefined
