"""The addresses that this host's interfaces have, asked of the kernel by one dump over rtnetlink (RFC 3549)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from struct import Struct
from typing import Final

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
_HEADER: Final = Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS: Final = Struct("=BBBBi")  # family, length of prefix, flags, scope, interface
_ATTRIBUTE: Final = Struct("=HH")  # length, type
_ERROR, _DONE, _NEW_ADDRESS, _GET_ADDRESS = 2, 3, 20, 22
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_BUFFER = 65_536  # bytes; the kernel's messages are smaller
_PATIENCE = 1.0  # seconds; the kernel answers in microseconds


def host_addresses() -> tuple[str, ...]:
    """Each address once, loopback among them. Raises OSError."""
    asked = _HEADER.pack(_HEADER.size + _ADDRESS.size, _GET_ADDRESS, _REQUEST_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(_PATIENCE)
        netlink.bind((0, 0))
        netlink.send(asked + _ADDRESS.pack(0, 0, 0, 0, 0))
        return tuple(dict.fromkeys(_dumped(netlink)))


def _dumped(netlink: socket.socket) -> Iterator[str]:
    while True:
        for kind, body in _parts(netlink.recv(_BUFFER), _HEADER):
            if kind == _ERROR:
                raise OSError("the kernel does not tell this host's addresses")
            if kind == _DONE:
                return
            if kind == _NEW_ADDRESS:
                told = dict(_parts(body[_ADDRESS.size :], _ATTRIBUTE))
                if found := told.get(_IFA_LOCAL) or told.get(_IFA_ADDRESS):  # of a point-to-point link, the nearer end
                    yield str(ip_address(found))


def _parts(data: bytes, head: Struct) -> Iterator[tuple[int, bytes]]:
    """Messages, or attributes: each begins with its length and type, and at a multiple of four bytes."""
    at = 0
    while at + head.size <= len(data):
        length, kind, *_ = head.unpack_from(data, at)
        if length < head.size:
            return
        yield kind, data[at + head.size : at + length]
        at += (length + 3) & ~3
