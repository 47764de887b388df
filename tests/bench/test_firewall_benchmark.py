"""The whole of `bench firewall`, briefly."""

from __future__ import annotations

from pathlib import Path

from bench.firewall import measure
from tests.defense_lines.nftables_rig import namespaces


def test_a_small_firewall_is_measured(tmp_path: Path) -> None:
    with namespaces(1) as (host,):
        result = host.loop(measure(tmp_path, rounds=1, standing=2_000), 120)
    assert result.figures.keys() >= {"one_more_p50_ms", "restart_seconds", "restart_empty_kernel_seconds"}
    assert result.ratios.keys() == {"nft_p50"}
