"""Parts of the demo as children of a test, and one whole run of the story for every test that looks at it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.demo import issuer
from deploy.demo.cast import ROOT
from deploy.demo.children import Child
from deploy.demo.ports import free_ports
from deploy.demo.readiness import accepts
from deploy.demo.tokens import Tokens
from gateway.config import Transactions
from gateway.transactions import KeyRing, Minter

STORY_SECONDS = 180


@pytest.fixture
def minter(tmp_path: Path) -> Minter:
    """Transaction tokens that the bank believes."""
    ring = KeyRing.first(lambda: ec.generate_private_key(ec.SECP256R1()), time.time())
    (tmp_path / "jwks.json").write_bytes(ring.jwks())
    return Minter(Transactions(), ring, lambda: "txn-1")


@pytest.fixture
async def bank(tmp_path: Path, minter: Minter) -> AsyncIterator[tuple[int, int]]:
    """A running bank: its HTTP port and its gRPC port."""
    http, grpc = free_ports(2)
    ports = ("--http", str(http), "--grpc", str(grpc), "--jwks", str(tmp_path / "jwks.json"))
    child = await Child.start("bank", sys.executable, "-m", "deploy.demo.bank", *ports, folder=tmp_path)
    try:
        await accepts(http, child)
        yield http, grpc
    finally:
        await child.stop()


@pytest.fixture
async def tokens(tmp_path: Path) -> AsyncIterator[Tokens]:
    """A client of a running issuer."""
    (port,), secret = free_ports(1), "for this test only"
    command = (sys.executable, "-m", "deploy.demo.issuer", "--port", str(port))
    child = await Child.start("issuer", *command, folder=tmp_path, env={issuer.SECRET: secret})
    try:
        await accepts(port, child)
        yield Tokens(f"http://127.0.0.1:{port}", secret)
    finally:
        await child.stop()


@pytest.fixture(scope="session")
def story() -> dict[str, Any]:
    """The record of one whole run of the demo, with its exit code and seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "console.cli", "demo", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=STORY_SECONDS, check=False)
    lines = done.stdout.splitlines()
    assert lines, f"the demo said nothing on standard output: {done.stderr[-2000:]}"
    told: dict[str, Any] = json.loads(lines[-1])
    return told | {"exit": done.returncode, "seconds": time.monotonic() - began, "lines_told": len(lines)}
