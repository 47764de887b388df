"""What nftables really holds: the actuator itself is asked, not the line's receipt."""

from __future__ import annotations

import asyncio
import re

_PACKETS = re.compile(r"packets (\d+)")
_COMMENT = re.compile(r'comment "[^"]*"')


async def listing(table: str) -> str:
    """The table as `nft` lists it; empty if there is none."""
    command = ("nft", "list", "table", "inet", table)
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=nothing)
    out, _ = await process.communicate()
    return out.decode()


def holds(listed: str, address: str) -> bool:
    """Whether the address is an element of a set of the listed table."""
    return re.search(rf"(?<![\d.]){re.escape(address)}(?![\d.])", _COMMENT.sub("", listed)) is not None


def dropped(listed: str) -> int:
    """Packets that the table has counted."""
    return sum(int(count) for count in _PACKETS.findall(listed))
