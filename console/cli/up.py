"""`portcullis up`: the whole gateway, in the foreground."""

from __future__ import annotations

import asyncio

from console.cli.options import DEFAULT_FILE, ConfigFile, configuration


def up(config: ConfigFile = DEFAULT_FILE) -> None:
    """Run edge, gateway, detectors and lines until SIGTERM or Ctrl-C; one that dies is started again alone."""
    tree = configuration(config).config
    from console.processes import refuse_bad_policy, supervise
    from console.supervision import sole

    with sole(tree.state):
        refuse_bad_policy(tree.policy)
        asyncio.run(supervise(tree, config))
