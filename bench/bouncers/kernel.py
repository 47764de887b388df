"""When an address came into a set of the kernel: nf_tables tells it over netlink as it commits a transaction."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

_NETFILTER, _GROUP = 12, 7  # NETLINK_NETFILTER, NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h)
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_NEW_ELEMENT = 10 << 8 | 12  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWSETELEM
_ELEMENTS, _ELEMENT, _KEY, _VALUE = 3, 1, 1, 1  # NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_LIST_ELEM, …_KEY, NFTA_DATA_VALUE
_BUFFER = 1 << 22
_NESTED = 0x8000


class Kernel:
    """What came into any set since it is watched, by address: CLOCK_MONOTONIC nanoseconds."""

    def __init__(self) -> None:
        self.came: dict[str, int] = {}
        self._changed = asyncio.Event()

    async def has(self, addresses: set[str], seconds: float) -> set[str]:
        """Wait until all of these have come, or so long; those that have not."""
        try:
            async with asyncio.timeout(seconds):
                while not addresses <= self.came.keys():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return addresses - self.came.keys()

    def read(self, data: bytes) -> None:
        """Messages of the kernel."""
        now = time.monotonic_ns()
        for address in _added(data):
            self.came.setdefault(address, now)
        self._changed.set()


@contextmanager
def watched() -> Iterator[Kernel]:
    """The sets of this network namespace, as long as the block. Belongs to the running loop."""
    kernel, loop = Kernel(), asyncio.get_running_loop()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        end.bind((0, 0))
        end.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
        end.setblocking(False)
        loop.add_reader(end, lambda: kernel.read(end.recv(_BUFFER)))
        try:
            yield kernel
        finally:
            loop.remove_reader(end)


def _added(data: bytes) -> Iterator[str]:
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if kind == _NEW_ELEMENT:
            for elements in _parts(data[20:length], _ELEMENTS):  # after nlmsghdr and nfgenmsg
                for element in _parts(elements, _ELEMENT):
                    for key in _parts(element, _KEY):
                        yield from (str(ipaddress.ip_address(value)) for value in _parts(key, _VALUE))
        data = data[(length + 3) & ~3 :]


def _parts(data: bytes, wanted: int) -> Iterator[bytes]:
    """The contents of the attributes of one kind (struct nlattr)."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if kind & ~_NESTED == wanted:
            yield data[4:length]
        data = data[(max(length, 4) + 3) & ~3 :]
