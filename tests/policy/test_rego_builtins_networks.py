"""Networks: Go's reading of addresses."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from policy.rego.values import RegoSet
from tests.policy.called_in_opa import Call, hold_against_opa

ADDRESSES = [
    *("10.1.2.3", "0.0.0.0", "255.255.255.255", "::", "fd00::1", "::ffff:10.0.0.1", "::fffe:ffff:ffff", "fe80::1%eth0"),
    *("1.2.3", "01.2.3.4", "1.2.3.256", " 1.2.3.4", "::1.2.3.4", "1::2::3", "1:2:3:4:5:6:7::", "", "é", "12345::"),
]
LENGTHS = ["0", "8", "32", "33", "96", "104", "128", "129", "08", "-1", "", "a", "99999999"]
NETWORKS = [f"{address}/{length}" for address, length in product(ADDRESSES, LENGTHS)]
ODD: list[Any] = [
    *(None, 1, True, [], {}, RegoSet(), ["10.0.0.0/8"], RegoSet(["10.0.0.0/8"]), [1], [[]], {"a": "10.0.0.0/8"}),
    *({"a": ["10.0.0.0/8", 1]}, [["10.1.0.0/16", "x"], "::/0"], {"a": 1}, RegoSet([RegoSet()]), ["bad"], "10.1.2.3"),
]
MERGED: list[list[str]] = [
    ["10.0.0.0/24", "10.0.1.0/24", "10.0.0.128/25"],
    ["10.0.0.0/32", "10.0.0.1/32", "10.0.0.2/32"],
    ["10.1.2.3"],
    ["10.1.2.3", "11.0.0.0/8"],
    ["192.168.1.7", "192.168.1.7"],
    ["2001:db8::/33", "2001:db8:8000::/33"],
    ["::/0", "10.0.0.0/8"],
    ["0.0.0.0/8", "::fffe:ffff:ffff/128"],
    ["::1"],
    ["10.0.0.0/33"],
]
MEANINGS = [
    ("net.cidr_contains", ["10.0.0.0/8", "10.1.0.0/16"], True),
    ("net.cidr_contains", ["10.0.0.0/8", "::ffff:10.0.0.1"], True),
    ("net.cidr_contains", ["::/0", "10.0.0.1"], False),
    ("net.cidr_contains", ["10.0.0.1", "10.0.0.1"], UNDEFINED),
    ("net.cidr_intersects", ["10.0.0.0/8", "10.1.0.0/16"], True),
    ("net.cidr_is_valid", ["10.0.0.0/08"], True),
    ("net.cidr_is_valid", ["10.0.0.0"], False),
    ("net.cidr_expand", ["10.0.0.1/31"], RegoSet(["10.0.0.0", "10.0.0.1"])),
    ("net.cidr_expand", ["10.0.0.0/8"], UNDEFINED),
    ("net.cidr_merge", [["10.1.2.3"]], RegoSet(["10.1.2.3/8"])),
    ("net.cidr_merge", [RegoSet(["10.0.0.0/25", "10.0.0.128/25"])], RegoSet(["10.0.0.0/24"])),
    ("net.cidr_contains_matches", [["10.0.0.0/8", "::/0"], {"x": ["10.1.0.0/16", 1]}], RegoSet([[0, "x"]])),
    ("net.cidr_contains_matches", [["x"], "10.0.0.1"], UNDEFINED),
]


def calls() -> list[Call]:
    made: list[Call] = [("net.cidr_is_valid", [one]) for one in [*NETWORKS, *ADDRESSES, *ODD]]
    some = NETWORKS[::5]
    made += [("net.cidr_contains", list(args)) for args in product(some[::3], [*some[::4], *ADDRESSES])]
    made += [("net.cidr_intersects", list(args)) for args in product(some[::4], some[::3])]
    small = [f"{one}/{length}" for one in ADDRESSES for length in ((126, 128) if ":" in one else (30, 32))]
    made += [("net.cidr_expand", [one]) for one in [*small, *ODD]]
    made += [("net.cidr_merge", [list(one)]) for one in [*MERGED, *ODD[3:4]]]
    made += [("net.cidr_merge", [RegoSet(one)]) for one in MERGED] + [("net.cidr_merge", [odd]) for odd in ODD[:3]]
    made += [("net.cidr_contains_matches", list(args)) for args in product(ODD, ODD)]
    return made


def test_networks_mean_what_they_mean_in_opa(tmp_path: Path) -> None:
    hold_against_opa(calls(), tmp_path)


@pytest.mark.parametrize(("name", "args", "answer"), MEANINGS)
def test_what_networks_mean(name: str, args: list[Any], answer: Any) -> None:
    assert BUILTINS[name](*args) == answer
