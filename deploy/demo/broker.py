"""The MQTT broker of the demo: Mosquitto where it is installed, otherwise amqtt (which speaks MQTT 3.1.1 alone)."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

from deploy.demo.children import Child


def has_mosquitto() -> bool:
    """Whether Mosquitto is installed."""
    return _mosquitto() is not None


async def start(port: int, folder: Path) -> Child:
    """Start a broker on 127.0.0.1; it may still need a moment until it accepts."""
    command = _mosquitto()
    if command is None:
        return await Child.start(
            "broker", sys.executable, "-m", "deploy.demo.broker", "--port", str(port), folder=folder
        )
    settings = folder / "mosquitto.conf"
    # `user root`: in a sandbox of a plain user there is no other user to change to.
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n")
    return await Child.start("broker", command, "-c", str(settings), folder=folder)


def _mosquitto() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


async def _amqtt(port: int) -> None:
    from amqtt.broker import Broker

    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    await ending.wait()
    await broker.shutdown()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    asyncio.run(_amqtt(options.parse_args().port))
