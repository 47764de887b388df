"""Files of Suricata's EVE and of Zeek's conn log, as sensors write them, of 200,000 subjects, and how they are read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from bench.eventing.feed import Feed
from bench.eventing.traffic import SUBJECTS
from bench.result import CannotRun
from telemetry import EventBatch, read_file

STRETCH = 200_000  # lines
COUNTS = {"eve": 6 * STRETCH, "zeek": 12 * STRETCH}  # eight seconds and more at the rates that are measured
Texts = dict[str, Path]
_WAITING = 262_144  # events that may wait for the worker
_HEADER = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\t"
    "id.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\t"
    "local_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\t"
    "tunnel_parents\n"
)


def write_texts(folder: Path) -> Texts:
    """One file of each, with times that go on; less than a gigabyte together."""
    return {
        "eve": _write(folder / "eve.json", _eve, COUNTS["eve"], ""),
        "zeek": _write(folder / "conn.log", _zeek, COUNTS["zeek"], _HEADER),
    }


def _write(path: Path, lines: Callable[[range, list[int]], Iterable[str]], count: int, head: str) -> Path:
    rng = np.random.default_rng(4)
    with path.open("w") as file:
        file.write(head)
        for first in range(0, count, STRETCH):
            file.writelines(lines(range(first, first + STRETCH), rng.integers(0, SUBJECTS, STRETCH).tolist()))
    return path


def _address(first: int, code: int) -> str:
    return f"{first}.{code >> 16 & 255}.{code >> 8 & 255}.{code & 255}"


def _eve(numbers: range, who: list[int]) -> Iterator[str]:
    """Half flows, three tenths questions for names, a tenth and a half requests, the rest alerts."""
    kinds = np.random.default_rng(numbers.start).choice(4, len(numbers), p=[0.5, 0.3, 0.15, 0.05]).tolist()
    return map(_record, numbers, who, kinds)


def _record(number: int, code: int, kind: int) -> str:
    second, micro = divmod(number * 5, 1_000_000)
    time = f"2026-11-02T09:{second // 60 % 60:02d}:{second % 60:02d}.{micro:06d}+0000"
    common = {
        "timestamp": time, "flow_id": 1_000_000_000_000 + number, "in_iface": "eth1",
        "event_type": ("flow", "dns", "http", "alert")[kind], "src_ip": _address(11, code), "src_port": 40_000,
        "dest_ip": _address(172, code % 4096), "dest_port": (443, 53, 80, 445)[kind],
        "proto": "UDP" if kind == 1 else "TCP",
    }  # fmt: skip
    flow = {
        "pkts_toserver": 12, "pkts_toclient": 15, "bytes_toserver": 2143 + code % 999, "bytes_toclient": 18221,
        "start": time, "end": time, "age": 0, "state": "closed", "reason": "timeout", "alerted": False,
    }  # fmt: skip
    own = (
        {"app_proto": "tls", "flow": flow, "tcp": {"tcp_flags": "1b", "syn": True, "fin": True, "state": "closed"}},
        {"dns": {"type": "query", "id": code % 65536, "rrname": f"service{code % 20000}.bank.example",
                 "rrtype": "A", "tx_id": 0}},
        {"http": {"hostname": f"app{code % 40}.bank.example", "url": f"/accounts/{code}/statements", "length": 5121,
                  "http_user_agent": "Mozilla/5.0 (X11; Linux x86_64)", "http_method": "GET", "status": 200}},
        {"alert": {"action": "allowed", "gid": 1, "signature_id": 2027757, "rev": 5, "severity": 3,
                   "signature": "ET INFO Session Traversal Utilities for NAT", "category": "Misc activity"}},
    )[kind]  # fmt: skip
    return json.dumps(common | own, separators=(",", ":")) + "\n"


def _zeek(numbers: range, who: list[int]) -> Iterator[str]:
    return (
        f"{1_777_000_000 + number * 5e-6:.6f}\tC{number:017d}\t{_address(11, code)}\t40000\t"
        f"{_address(172, code % 4096)}\t443\ttcp\tssl\t0.{code % 999:03d}113\t{2143 + code % 999}\t18221\tSF\tT\tF\t0\t"
        "ShADadfF\t12\t2643\t15\t18821\t-\n"
        for number, code in zip(numbers, who, strict=True)
    )


async def read(feed: Feed, path: Path, name: str) -> float:
    """Lines a second until all are answered; the first stretch, in which the detectors get to know who there is, is
    left out.
    """
    reading = iter(read_file(path, source=name))
    warm = await _publish(feed, reading, STRETCH)
    await feed.done()
    before = time.perf_counter()
    rest = await _publish(feed, reading, COUNTS[name])
    await feed.done()
    if warm + rest != COUNTS[name]:
        raise CannotRun(f"{name}: {warm + rest} of {COUNTS[name]} lines became events")
    return rest / (time.perf_counter() - before)


async def _publish(feed: Feed, reading: Iterator[EventBatch], least: int) -> int:
    """Publish at least so many events, if there are; how many."""
    count = 0
    while count < least and (batch := await asyncio.to_thread(next, reading, None)) is not None:
        feed.bus.publish(batch)
        count += len(batch)
        await feed.room(_WAITING)
    return count
