"""Versions, UUIDs and randomness."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from policy.rego.builtins.random import IMPURE
from tests.policy.called_in_opa import Call, hold_against_opa

VERSIONS = [
    *("1.2.3", "v1.2.3", "vv1.2.3", "V1.2.3", "1.2", "1.2.3.4", "01.2.3", "1.2.9223372036854775807", "1.2.3-", ""),
    *("1.2.9223372036854775808", "1.2.3-a", "1.2.3-a.b", "1.2.3-1", "1.2.3-01", "1.2.3-a.10", "1.2.3-a.9", "1.2.3-é"),
    *(
        "1.2.3+b",
        "1.2.3+01",
        "1.2.3+",
        "1.2.3-a+b-c",
        "1.2.3+a+b",
        "1.2.3-0",
        "1.2.3-00a",
        "-1.2.3",
        "+1.2.3",
        "1.2.3\n",
    ),
]
ODD: list[Any] = [None, 1, [], {}, ""]
UUID = "000003e8-48b9-21ee-b200-325096b39f47"
MEANINGS = [
    ("semver.compare", ["1.0.0-alpha.9", "1.0.0-alpha.10"], -1),
    ("semver.compare", ["v1.0.0+a", "1.0.0+b"], 0),
    ("semver.compare", ["1.0.0", "1.0.0-rc"], 1),
    ("semver.is_valid", ["1.02.3"], False),
    (
        "uuid.parse",
        [UUID],
        {
            "version": 2,
            "variant": "RFC4122",
            "time": 1693566990121469600,
            "nodeid": "32-50-96-b3-9f-47",
            "macvariables": "local:unicast",
            "clocksequence": 12800,
            "id": 1000,
            "domain": "Person",
        },
    ),
    ("uuid.parse", ["00000000-0000-4000-8000-000000000000"], {"version": 4, "variant": "RFC4122"}),
    ("uuid.parse", ["nonsense"], UNDEFINED),
]


def calls() -> list[Call]:
    random = Random(7)
    made: list[Call] = [("semver.is_valid", [one]) for one in [*VERSIONS, *ODD]]
    made += [("semver.compare", list(args)) for args in product(VERSIONS, [*VERSIONS[::3], None])]
    forms = ["{}", "{{{}}}", "({}]", "urn:uuid:{}", "URN:uuid:{}", "urn:uuie:{}", "é{}", "{}0"]
    for _ in range(60):
        digits = random.randbytes(16).hex()
        digits = f"{digits[:12]}{random.choice('12345')}{digits[13:18]}0{random.choice('0123')}{digits[20:]}"
        dashed = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        made += [("uuid.parse", [form.format(dashed)]) for form in forms]
        made += [
            ("uuid.parse", [one]) for one in (digits, dashed.upper(), dashed[:-1], f"{dashed[:-1]}g", f"é{dashed[:-2]}")
        ]
    return made + [("uuid.parse", [odd]) for odd in ODD]


def test_versions_mean_what_they_mean_in_opa(tmp_path: Path) -> None:
    hold_against_opa(calls(), tmp_path)


@pytest.mark.parametrize(("name", "args", "answer"), MEANINGS)
def test_what_versions_mean(name: str, args: list[Any], answer: Any) -> None:
    assert BUILTINS[name](*args) == answer


def test_an_evaluation_keeps_its_random_answers() -> None:
    intn, uuid = BUILTINS["rand.intn"], BUILTINS["uuid.rfc4122"]
    one: list[Any] = [0, None, None]
    other: list[Any] = [0, None, None]
    assert intn(one, "dice", 2**60) == intn(one, "dice", 2**60) == intn(one, "dice", -(2**60))
    assert intn(one, "dice", 2**60) != intn(one, "coin", 2**60)
    assert intn(one, "dice", 2**60) != intn(other, "dice", 2**60)
    assert uuid(one, "a") == uuid(one, "a") != uuid(one, "b")
    assert BUILTINS["uuid.parse"](uuid(other, "a")) == {"version": 4, "variant": "RFC4122"}
    assert [intn(one, "x", limit) for limit in (0, 1, 1.5, "1")] == [0, 0, UNDEFINED, UNDEFINED]
    assert intn(one, 1, 1) is UNDEFINED
    assert IMPURE == {"rand.intn": "random", "uuid.rfc4122": "random"}
