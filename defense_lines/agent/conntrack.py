"""Forgetting the tracked connections of blocked networks, over netlink (ctnetlink) in process.

The drop stands before connection tracking, so nothing from a blocked source passes whatever is tracked. Its entries
go too, so that answers to it no longer count as established and no address translation outlives the block.
Attributes are those of linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from defense_lines.agent.orders import Network

_NETLINK_NETFILTER = 12
_CTNETLINK = 1 << 8  # NFNL_SUBSYS_CTNETLINK
_GET, _DELETE = _CTNETLINK | 1, _CTNETLINK | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_FAMILY = struct.Struct("=BBH")  # nfgenmsg: family, version, resource
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_TUPLE_ORIG, _ID, _ZONE = 1, 12, 18  # CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE
_TUPLE_IP, _V4_SRC, _V6_SRC = 1, 1, 3  # CTA_TUPLE_IP, CTA_IP_V4_SRC, CTA_IP_V6_SRC
_KIND = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_RECEIVE = 1 << 18
_TIMEOUT = 5.0  # seconds without a word from the kernel
_MAX_ERRNO = 4095


class Entry(NamedTuple):
    """One tracked connection."""

    attributes: dict[int, bytes]  # payload by type (CTA_...)
    source: bytes | None  # of its first packet: 4 or 16 bytes


def forget(networks: Sequence[Network]) -> int:
    """Delete the entries whose original source lies in one of the networks; how many. Blocks while it walks the table.

    Raises OSError where the kernel tracks nothing or does not allow it.
    """
    deleted = 0
    for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
        wanted = _Wanted([network for network in networks if network.version == version])
        if not wanted:
            continue
        with _netlink() as dump, _netlink() as order:
            for entry in _entries(dump, family):
                if entry.source is not None and entry.source in wanted:
                    deleted += _delete(order, family, entry.attributes)
    return deleted


def read(datagram: bytes) -> tuple[list[Entry], bool]:
    """The connections in one datagram of a listing, and whether it was the last.

    Raises OSError: the kernel's own, or EBADMSG for what is not netlink.
    """
    entries: list[Entry] = []
    for kind, payload in _messages(datagram):
        if kind == _DONE:
            return entries, True
        if kind == _ERROR:
            _raise(payload)
        else:
            attributes = _attributes(payload[_FAMILY.size :])
            entries.append(Entry(attributes, _source(attributes)))
    return entries, False


class _Wanted:
    """Networks of one IP version as sets of masked integers, one for each prefix length."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._masked: dict[int, set[int]] = {}
        for network in networks:
            self._masked.setdefault(int(network.netmask), set()).add(int(network.network_address))

    def __bool__(self) -> bool:
        return bool(self._masked)

    def __contains__(self, source: bytes) -> bool:
        address = int.from_bytes(source)
        return any(address & mask in found for mask, found in self._masked.items())


def _netlink() -> socket.socket:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    netlink.settimeout(_TIMEOUT)
    netlink.bind((0, 0))
    return netlink


def _entries(netlink: socket.socket, family: int) -> Iterator[Entry]:
    netlink.send(_message(_GET, _REQUEST | _DUMP, family, b""))
    last = False
    while not last:
        entries, last = read(netlink.recv(_RECEIVE))
        yield from entries


def _delete(netlink: socket.socket, family: int, entry: dict[int, bytes]) -> int:
    body = b"".join(_attribute(kind, entry[kind]) for kind in (_TUPLE_ORIG, _ID, _ZONE) if kind in entry)
    netlink.send(_message(_DELETE, _REQUEST | _ACK, family, body))
    for kind, payload in _messages(netlink.recv(_RECEIVE)):
        if kind == _ERROR:
            _raise(payload, allow=errno.ENOENT)  # it ended by itself meanwhile
    return 1


def _message(kind: int, flags: int, family: int, body: bytes) -> bytes:
    payload = _FAMILY.pack(family, 0, 0) + body
    return _HEADER.pack(_HEADER.size + len(payload), kind, flags, 1, 0) + payload


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while len(data) - start >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data, start)
        yield kind, _payload(data, start, _HEADER.size, length)
        start += _aligned(length)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    start = 0
    while len(data) - start >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        found[kind & _KIND] = _payload(data, start, _ATTRIBUTE.size, length)
        start += _aligned(length)
    return found


def _payload(data: bytes, start: int, header: int, length: int) -> bytes:
    if not header <= length <= len(data) - start:
        raise OSError(errno.EBADMSG, f"ctnetlink: {length} bytes said, {len(data) - start} there")
    return data[start + header : start + length]


def _attribute(kind: int, value: bytes) -> bytes:
    nested = 0x8000 if kind == _TUPLE_ORIG else 0
    padding = b"\0" * (_aligned(len(value)) - len(value))
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind | nested) + value + padding


def _source(entry: dict[int, bytes]) -> bytes | None:
    address = _attributes(_attributes(entry.get(_TUPLE_ORIG, b"")).get(_TUPLE_IP, b""))
    source = address.get(_V4_SRC) or address.get(_V6_SRC)
    return source if source is not None and len(source) in (4, 16) else None


def _raise(payload: bytes, allow: int = 0) -> None:
    number = -int(struct.unpack_from("=i", payload)[0]) if len(payload) >= 4 else errno.EBADMSG
    if not 0 <= number <= _MAX_ERRNO:
        number = errno.EBADMSG
    if number not in (0, allow):
        raise OSError(number, f"ctnetlink: {os.strerror(number)}")


def _aligned(length: int) -> int:
    return length + 3 & ~3
