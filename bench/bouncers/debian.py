"""Debian's crowdsec-firewall-bouncer, unmodified, on nftables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_SETTINGS = """
mode: nftables
pid_dir: {folder}
update_frequency: {every}
daemonize: false
log_mode: file
log_dir: {folder}
log_level: info
api_url: http://127.0.0.1:{port}/
api_key: {key}
disable_ipv6: false
deny_action: DROP
supported_decisions_types: [ban]
blacklists_ipv4: {table}-blacklists
blacklists_ipv6: {table}6-blacklists
nftables:
  ipv4: {{enabled: true, set-only: false, table: {table}, chain: crowdsec-chain}}
  ipv6: {{enabled: true, set-only: false, table: {table}6, chain: crowdsec6-chain}}
prometheus: {{enabled: false}}
"""


@asynccontextmanager
async def debian_bouncer(
    program: str, folder: Path, port: int, key: str, every: str, table: str = "crowdsec"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Polling an API on this host with a pause of `every` (as Go writes it), until the block ends. Its log is in the
    folder, its sets are `TABLE-blacklists` in the table `TABLE` and `TABLE6-blacklists` in `TABLE6`.
    """
    path = folder / f"{table}.yaml"
    path.write_text(_SETTINGS.format(folder=folder, every=every, port=port, key=key, table=table))
    quiet = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(program, "-c", str(path), stdout=quiet, stderr=quiet)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
