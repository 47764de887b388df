"""Netlink messages to and from the kernel's packet filter: linux/netlink.h, linux/netfilter/nfnetlink.h."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

REQUEST: Final = 0x1  # NLM_F_REQUEST
DUMP: Final = 0x300  # NLM_F_DUMP

_NETLINK_NETFILTER: Final = 12
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_FAMILY: Final = struct.Struct("=BBH")  # nfgenmsg: family, version, resource
_ATTRIBUTE: Final = struct.Struct("=HH")  # nlattr: length, type
_KIND: Final = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_RECEIVE: Final = 1 << 18
_TIMEOUT: Final = 5.0  # seconds without a word from the kernel
_MAX_ERRNO: Final = 4095


def dump(kind: int, family: int, body: bytes) -> Iterator[memoryview]:
    """Ask for all of something; each message's attributes. Raises OSError: the kernel's own, or EBADMSG."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as netlink:
        netlink.settimeout(_TIMEOUT)
        netlink.bind((0, 0))
        payload = _FAMILY.pack(family, 0, 0) + body
        netlink.send(_HEADER.pack(_HEADER.size + len(payload), kind, REQUEST | DUMP, 1, 0) + payload)
        while True:
            for found, message in messages(netlink.recv(_RECEIVE)):
                if found == _DONE:
                    return
                if found == _ERROR:
                    _raise(message)
                yield message[_FAMILY.size :]


def messages(datagram: bytes) -> Iterator[tuple[int, memoryview]]:
    """The kind and payload of each message of a datagram. Raises OSError for what is not netlink."""
    data, start = memoryview(datagram), 0
    while len(data) - start >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data, start)
        yield kind, _payload(data, start, _HEADER.size, length)
        start += length + 3 & ~3


def attributes(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The kind and value of each attribute. Raises OSError for what is none."""
    start, end = 0, len(data)
    while end - start >= 4:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        yield kind & _KIND, _payload(data, start, 4, length)
        start += length + 3 & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _payload(data: memoryview, start: int, header: int, length: int) -> memoryview:
    if not header <= length <= len(data) - start:
        raise OSError(errno.EBADMSG, f"netlink: {length} bytes said, {len(data) - start} there")
    return data[start + header : start + length]


def _raise(payload: memoryview) -> None:
    number = -int(struct.unpack_from("=i", payload)[0]) if len(payload) >= 4 else errno.EBADMSG
    if not 0 < number <= _MAX_ERRNO:
        number = errno.EBADMSG
    raise OSError(number, f"netlink: {os.strerror(number)}")
