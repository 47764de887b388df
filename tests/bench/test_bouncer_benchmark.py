"""What `bench bouncer` is made of: what the kernel says of its sets, and the whole of it, briefly."""

from __future__ import annotations

import asyncio
import shutil
import time

import pytest

from bench.bouncer import measure
from bench.bouncers.kernel import watched
from tests.defense_lines.nftables_rig import namespaces

SETS = (
    "add table ip t; add set ip t s { type ipv4_addr; flags timeout; };"
    "add table ip6 t; add set ip6 t s { type ipv6_addr; flags interval; }"
)
MORE = "add element ip t s { 192.0.2.1 timeout 1h, 192.0.2.2 }; add element ip6 t s { 2001:db8::1 }"


async def nft(rules: str) -> None:
    child = await asyncio.create_subprocess_exec("nft", rules)
    assert await child.wait() == 0


def test_the_kernel_tells_what_comes_into_its_sets() -> None:
    async def story() -> None:
        await nft(SETS)
        with watched() as kernel:
            before = time.monotonic_ns()
            await nft(MORE)
            assert await kernel.has({"192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3"}, 0.5) == {"192.0.2.3"}
            assert all(before < moment < time.monotonic_ns() for moment in kernel.came.values())

    with namespaces(1) as (host,):
        host.loop(story())


@pytest.mark.prove
@pytest.mark.system
def test_the_whole_of_it_briefly() -> None:
    for name in ("crowdsec", "cscli", "crowdsec-firewall-bouncer"):
        if shutil.which(name, path="/usr/bin:/usr/local/bin") is None:
            pytest.skip(f"needs {name}")
    with namespaces(1) as (host,):
        result = host.loop(measure(rounds=1, orders=3), 300)
    assert result.figures["ours_lost"] == 0
    assert result.figures["ours_p50_ms"] < result.figures["stock_p50_ms"]
    assert result.ratios.keys() == {"stock_p50", "stock_fast_p50"}
