"""`portcullis line`: this host's firewall as a defense line of a gateway elsewhere, in the foreground."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from defense_lines.agent.agent import Connect

_STATE = Path("/var/lib/portcullis-line")
_GATEWAY = re.compile(r"wss://[^/?#@\s]+")
_PROXY = re.compile(r"(https?|socks[45])://[^/?#\s]+")

Gateway = Annotated[str | None, typer.Option("--gateway", metavar="URL", help="wss://HOST:PORT of the gateway.")]
Socket = Annotated[Path | None, typer.Option("--socket", metavar="FILE", help="Its Unix socket, on its own host.")]
Certificate = Annotated[Path | None, typer.Option("--certificate", metavar="FILE", help="What names this line (PEM).")]
PrivateKey = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its private key (PEM).")]
Authority = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Who vouches for the gateway (PEM).")]
State = Annotated[Path, typer.Option("--state", metavar="DIR", help="Where the orders are kept.")]
Table = Annotated[str, typer.Option("--table", metavar="NAME", help="The nftables table, of family inet.")]
Proxy = Annotated[str | None, typer.Option("--proxy", metavar="URL", help="On the way: http, https, socks4 or socks5.")]
Follow = Annotated[
    str, typer.Option("--follow", metavar="LEDGER", help="Follow this ledger from now on, not the last.")
]


def line(
    gateway: Gateway = None,
    socket: Socket = None,
    certificate: Certificate = None,
    key: PrivateKey = None,
    ca: Authority = None,
    state: State = _STATE,
    table: Table = "portcullis",
    proxy: Proxy = None,
    follow: Follow = "",
) -> None:
    """Carry out a gateway's orders in this host's firewall until SIGTERM or Ctrl-C; holds CAP_NET_ADMIN alone."""
    import uvloop

    from console.supervision import told_to_stop
    from defense_lines.agent import TABLE_NAME, TABLE_NAME_RULE, Capability, confine
    from defense_lines.agent.nftables_line import serve

    if not TABLE_NAME.fullmatch(table):
        raise typer.BadParameter(f"--table must be {TABLE_NAME_RULE}")
    connect = _connect(gateway, socket, (certificate, key, ca), proxy)
    confine(frozenset({Capability.NET_ADMIN}))

    async def run() -> None:
        await serve(connect, state, table, told_to_stop(), follow)

    uvloop.run(run())


def _connect(gateway: str | None, socket: Path | None, files: tuple[Path | None, ...], proxy: str | None) -> Connect:
    from defense_lines.agent.connecting import over_tls, over_unix, proving

    certificate, key, ca = files
    if socket is not None and gateway is None and not any(files) and proxy is None:
        return over_unix(socket)
    if socket is not None or gateway is None or certificate is None or key is None or ca is None:
        raise typer.BadParameter("either --socket alone, or --gateway with --certificate, --key and --ca")
    if not _GATEWAY.fullmatch(gateway.rstrip("/")):
        raise typer.BadParameter("--gateway must be wss://HOST:PORT")
    if proxy is not None and not _PROXY.fullmatch(proxy):
        raise typer.BadParameter("--proxy must be http://HOST:PORT, or https, socks4 or socks5")
    return over_tls(gateway.rstrip("/"), proving(certificate, key, ca), proxy)
