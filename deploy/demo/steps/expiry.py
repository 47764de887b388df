"""Step 9: a block's time ends and the traffic passes again; the ledger verifies, and an altered byte is found."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from deploy.demo.admin import until
from deploy.demo.attack import blocks_enforced
from deploy.demo.caller import Caller, reaches
from deploy.demo.cast import ALICE, ROOT
from deploy.demo.claims import expect
from deploy.demo.world import World

TTL = 2.0  # seconds
REASON = "short block of the demo"
DATABASE = "ledger.db"
FINDINGS = 3  # exit code of `audit verify` when something is wrong


async def blocks_expire_and_ledger_verifies(world: World) -> str:
    """Blocked for two seconds, then not; `audit verify` says yes to the ledger and no to its altered copy."""
    took = await _expires(world)
    ledger = world.run.state / "ledger"
    code, told = await _verify(ledger)
    expect(code == 0, f"the ledger verifies: {told}")
    copy = await asyncio.to_thread(_copy, ledger, world.run.folder / "copied-ledger")
    code, told = await _verify(copy)
    expect(code == 0, f"a copy of it verifies: {told}")
    await asyncio.to_thread(_alter_one_byte, copy)
    code, told = await _verify(copy)
    expect(code == FINDINGS, f"an altered byte in the copy is found: exit {code}, {told}")
    found = json.loads(told)[0]
    return f"passes again {took:.2f} s after a block of {TTL:g} s; ledger verified; altered copy found: {found}"


async def _expires(world: World) -> float:
    guest = world.network.hosts["guest"]
    alice = await world.person(ALICE, host="guest")
    expect(await _passes(world, alice), "the guest host's traffic passes before")
    began = time.time()
    ordered = await world.admin.block("address", guest.address, TTL, REASON, "jo")
    expect(ordered.get("outcome") == "accepted", f"the block is accepted: {ordered}")
    await blocks_enforced(world.admin, (guest.address,), world.lines, 3)
    expect(not await _passes(world, alice, 0.3), "the guest host's traffic is blocked")

    async def passes() -> bool:
        return await _passes(world, alice, 0.3)

    await until("the guest host's traffic passes again", passes, TTL + 3)
    took = time.time() - began
    expect(took >= TTL - 0.1, f"not before its time: after {took:.2f} s")
    return took


async def _passes(world: World, caller: Caller, seconds: float = 1.0) -> bool:
    guest = world.network.hosts["guest"]
    if not await reaches(guest, world.network.edge_address, world.run.ports.edge, seconds):
        return False
    return (await caller.get("/accounts/1001", seconds)).status == 200


async def _verify(ledger: Path) -> tuple[int, str]:
    """`portcullis audit verify`: its exit code, and what it found or said."""
    command = (sys.executable, "-m", "console.cli", "audit", "verify", "--ledger", str(ledger), "-o", "json")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, cwd=ROOT)
    out, told = await process.communicate()
    code = process.returncode or 0
    return code, (out if code == FINDINGS else told).decode(errors="replace").strip()


def _copy(ledger: Path, copy: Path) -> Path:
    """A copy of a ledger that is in use."""
    shutil.copytree(ledger, copy, ignore=shutil.ignore_patterns("ledger.db*"))
    with closing(sqlite3.connect(ledger / DATABASE)) as source, closing(sqlite3.connect(copy / DATABASE)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    return copy


def _alter_one_byte(ledger: Path) -> None:
    database = ledger / DATABASE
    held = bytearray(database.read_bytes())
    held[held.rindex(REASON.encode())] ^= 0x01
    database.write_bytes(held)
