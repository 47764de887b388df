"""What a kernel's nftables set holds, as `nft` itself tells it: not by the code that put it there."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from defense_lines.agent.prefix import Prefix, packed


def kernel_ends(table: str) -> dict[Prefix, float]:
    """Each prefix with a timeout in the sets of a table, and its end in Unix seconds, to the second: nft tells no more.
    No table holds nothing. For a thread in the namespace.
    """
    asked = subprocess.run(["nft", "-j", "list", "table", "inet", table], capture_output=True, check=False)
    if asked.returncode != 0:
        return {}
    now = time.time()
    told = json.loads(asked.stdout)["nftables"]
    return {prefix: now + left for each in told if "set" in each for prefix, left in _elements(each["set"])}


def _elements(found: dict[str, Any]) -> Iterator[tuple[Prefix, float]]:
    bits = int(found["name"].rpartition("_")[2]) if found["name"].rpartition("_")[2].isdigit() else None
    for each in found.get("elem", ()):
        element = each["elem"] if isinstance(each, dict) and "elem" in each else {"val": each}
        yield _prefix(element["val"], bits), float(element.get("expires", 0))


def _prefix(value: Any, bits: int | None) -> Prefix:
    if isinstance(value, dict):
        prefix = value["prefix"]
        return packed(f"{prefix['addr']}/{prefix['len']}")
    text = str(ipaddress.ip_address(value))
    return packed(text if bits is None else f"{text}/{bits}")
