"""Who else does it: Kitsune's feature extractor on packets, river's HalfSpaceTrees on features. Each in a process of
its own, on one core, and so are ours that stand against them.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAMES = "Kitsune's netStat on the same packets; river's HalfSpaceTrees on the same features"
KITSUNE = Path(os.environ.get("PORTCULLIS_KITSUNE", ".peers/Kitsune-py"))  # a checkout of ymirsky/Kitsune-py
PACKETS = Path("../shared/data/pcap/malicious-mixed.pcap")


async def measure(models: Path) -> dict[str, float]:
    """Events a second of each, one after the other; what is missing is said and left out."""
    figures: dict[str, float] = {}
    sides = {
        "packets": _no_packets(),
        "kitsune": _no_packets() or _no_kitsune(),
        "river": _no_packets() or _no_river(),
    }
    for name, missing in sides.items():
        if missing:
            print(f"{name}: left out, {missing}", file=sys.stderr)
            continue
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"bench.eventing.{name}_side", str(models), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        figures |= json.loads(said.decode().strip().splitlines()[-1]) if process.returncode == 0 else {}
    return figures


def ratios(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Ours against each peer's, in the same round."""
    pairs = {
        "packets_vs_kitsune": ("packet_features_per_s", "kitsune_features_per_s"),
        "scores_vs_river": ("flow_scores_per_s", "river_scores_per_s"),
    }
    return {
        name: statistics.median(one[ours] / one[theirs] for one in rounds)
        for name, (ours, theirs) in pairs.items()
        if all(ours in one and theirs in one for one in rounds)
    }


def versions() -> dict[str, str]:
    """Of the peers that are there."""
    return {"river": _version("river"), "kitsune": "checkout" if not _no_kitsune() else "not there"}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not there"


def _no_packets() -> str:
    return "" if PACKETS.exists() else f"no {PACKETS}"


def _no_kitsune() -> str:
    return "" if (KITSUNE / "netStat.py").exists() else f"no checkout in {KITSUNE} (PORTCULLIS_KITSUNE)"


def _no_river() -> str:
    return "" if _version("river") != "not there" else "river is not installed (uv sync --group events)"
