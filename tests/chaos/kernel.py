"""What a kernel's nftables set holds, as `nft` itself tells it: not by the code that put it there."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from defense_lines.agent.prefix import Prefix, packed

_SET = re.compile(r"ipv[46]_(\d+)")  # of the prefixes of one length; a table has others too


def kernel_ends(table: str) -> dict[Prefix, float]:
    """Each prefix with a timeout in the sets of a table, and its end in Unix seconds, to the second: nft tells no more.
    No table holds nothing. For a thread in the namespace.
    """
    now = time.time()
    asked = subprocess.run(["nft", "-j", "list", "table", "inet", table], capture_output=True, check=False)
    if asked.returncode != 0:
        return {}
    told = (each["set"] for each in json.loads(asked.stdout)["nftables"] if "set" in each)
    sets = ((found, int(named[1])) for found in told if (named := _SET.fullmatch(found["name"])))
    return {prefix: now + left for found, bits in sets for prefix, left in _elements(found, bits)}


def _elements(found: dict[str, Any], bits: int) -> Iterator[tuple[Prefix, float]]:
    for each in found.get("elem", ()):
        element = each["elem"] if isinstance(each, dict) and "elem" in each else {"val": each}
        yield _prefix(element["val"], bits), float(element.get("expires", 0))


def _prefix(value: Any, bits: int) -> Prefix:
    if isinstance(value, dict):
        return packed(f"{value['prefix']['addr']}/{value['prefix']['len']}")
    return packed(f"{ipaddress.ip_address(value)}/{bits}")
