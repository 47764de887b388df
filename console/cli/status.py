"""`portcullis status`: the gateway at a glance."""

from __future__ import annotations

from console.cli.options import DEFAULT_FILE, ConfigFile, Output, gateway
from console.cli.output import Format, show


def status(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Show the running gateway at a glance."""
    show(gateway(config).ask("GET", "/v1/status"), output)
