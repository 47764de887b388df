"""A wire between two network namespaces that loses, delays, reorders and duplicates packets, as `tc netem` does.

A process of its own carries IP packets between two TUN devices (Linux, Documentation/networking/tuntap.rst): that needs
no queueing discipline of the kernel, which many do not have, and draws from a seed.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import random
import struct
import subprocess
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

from defense_lines.agent.parentage import die_with

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000
_LARGEST = 65_536  # bytes of a packet
_FULL = 2_000  # packets on their way in one direction; netem's own limit is 1,000


class Weather(NamedTuple):
    """What becomes of packets. Shares are of one."""

    loss: float = 0.05
    duplicate: float = 0.02
    delay: float = 0.020  # seconds
    jitter: float = 0.010  # seconds more or less: later packets overtake earlier ones


class Link(NamedTuple):
    """One wire: a device in each of two namespaces, with its address."""

    name: str  # of the devices, at most 15 bytes
    ends: tuple[str, str]  # files of the namespaces
    addresses: tuple[str, str]


def carry(links: Sequence[Link], weather: Weather, seed: int, ready: Connection) -> None:
    """Be all wires until killed; says so on `ready` once they are there."""
    die_with(os.getppid())
    asyncio.run(_carry(links, weather, random.Random(seed), ready))


def enter(namespace: str) -> None:
    """Move this thread into a network namespace. Raises OSError."""
    file = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(file, 0) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
    finally:
        os.close(file)


async def _carry(links: Sequence[Link], weather: Weather, chance: random.Random, ready: Connection) -> None:
    for link in links:
        left, right = (_device(link, side) for side in (0, 1))
        for source, target in ((left, right), (right, left)):
            _Direction(source, target, weather, chance).start()
    ready.send(True)
    await asyncio.Event().wait()


def _device(link: Link, side: int) -> int:
    """A TUN device that is up, in the namespace of one end."""
    enter(link.ends[side])
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH", link.name.encode(), _IFF_TUN_NO_PI))
    ours, theirs = link.addresses[side], link.addresses[1 - side]
    for words in (f"address add {ours} peer {theirs} dev {link.name}", f"link set {link.name} up"):
        subprocess.run(["ip", *words.split()], check=True)
    return file


class _Direction:
    """From one device to the other."""

    def __init__(self, source: int, target: int, weather: Weather, chance: random.Random) -> None:
        self._source, self._target, self._weather, self._chance = source, target, weather, chance
        self._on_its_way = 0
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._loop.add_reader(self._source, self._read)

    def _read(self) -> None:
        packet, weather = os.read(self._source, _LARGEST), self._weather
        if self._chance.random() < weather.loss:
            return
        for _ in range(1 + (self._chance.random() < weather.duplicate)):
            if self._on_its_way < _FULL:
                self._on_its_way += 1
                self._loop.call_later(weather.delay + self._chance.uniform(-1, 1) * weather.jitter, self._write, packet)

    def _write(self, packet: bytes) -> None:
        self._on_its_way -= 1
        try:
            os.write(self._target, packet)
        except OSError:  # the device is full: one more lost packet
            return
