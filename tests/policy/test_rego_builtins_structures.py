"""Objects, arrays, graphs and walks."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from policy.rego.values import RegoSet, key
from tests.policy.called_in_opa import Call, as_json, hold_against_opa, written
from tests.policy.real_opa import opa_binary

MEANINGS = [
    ("object.get", [{"a": [{"b": 1}]}, ["a", 0, "b"], 7], 1),
    ("object.get", [{"a": 1}, [], 7], {"a": 1}),
    ("object.get", [{"a": 1}, ["a", "b"], 7], 7),
    ("object.union", [{"a": {"b": 1}, "c": 1}, {"a": {"d": 2}}], {"a": {"b": 1, "d": 2}, "c": 1}),
    ("object.union_n", [[{"a": {"b": 2}}, {"a": 4}, {"a": {"c": 3}}]], {"a": {"c": 3}}),
    ("object.remove", [{"a": 1, "b": 2}, RegoSet(["a"])], {"b": 2}),
    ("object.filter", [{"a": 1, "b": 2}, {"a": 7}], {"a": 1}),
    ("object.keys", [{"a": 1}], RegoSet(["a"])),
    ("object.subset", [{"a": [1, 2, 3]}, {"a": [2, 3]}], True),
    ("object.subset", [[1, 1], RegoSet([1, 2])], True),  # as OPA counts
    ("object.subset", [[], RegoSet()], False),
    ("array.slice", [[1, 2, 3], -1, 2], [1, 2]),
    ("array.flatten", [[1, [2, [3]]]], [1, 2, [3]]),
    ("graph.reachable", [{"a": ["b"], "b": ["c"]}, ["a"]], RegoSet(["a", "b"])),
    ("graph.reachable_paths", [{"a": ["b"], "b": ["a", "c"], "c": []}, ["a"]], RegoSet([["a", "b"], ["a", "b", "c"]])),
    ("graph.reachable", [[], ["a"]], UNDEFINED),
]


def calls() -> list[Call]:
    random = Random(7)

    def value(depth: int = 0) -> Any:
        kind = random.random()
        if depth > 2 or kind < 0.45:
            return random.choice([None, True, False, 0, 1, 2, 1.5, "a", "b", "", "1"])
        if kind < 0.65:
            return [value(depth + 1) for _ in range(random.randint(0, 3))]
        return RegoSet([value(depth + 1) for _ in range(random.randint(0, 3))]) if kind < 0.8 else thing(depth)

    def thing(depth: int = 0) -> Any:
        names = [random.choice(["a", "b", "c", [1], True]) for _ in range(random.randint(0, 3))]
        return {key(name): value(depth + 1) for name in names}

    def graph() -> Any:
        kinds = [list, RegoSet]
        near = {node: random.choices("abcdefz", k=random.choice([0, 1, 1, 2, 3])) for node in "abcdef"}
        return {node: random.choice(kinds)(others) for node, others in near.items() if random.random() < 0.8}

    made: list[Call] = []
    for _ in range(80):
        path = [value(), [random.choice(["a", "b", 0, 1, 1.0]) for _ in range(random.randint(0, 3))]]
        made += [("object.get", [random.choice([thing(), value()]), one, value()]) for one in path]
        made += [("object.keys", [value()]), ("object.union", [thing(), thing()]), ("object.union", [value(), value()])]
        made += [("object.union_n", [[thing() for _ in range(random.randint(0, 4))]]), ("object.union_n", [value()])]
        made += [(f"object.{name}", [random.choice([thing(), value()]), value()]) for name in ("remove", "filter")]
        many, few = random.choices([1, 2], k=random.randint(0, 8)), random.choices([1, 1, 2, 3], k=random.randint(0, 3))
        part = random.choice([few, RegoSet(few)])
        made += [("object.subset", [many, part]), ("object.subset", [{"a": many}, {"a": part}])]
        made += [("object.subset", [value(), value()]), ("object.subset", [thing(), thing()])]
        bounds = random.choices([-1, 0, 1, 2, 9, 1.0, 1.5, "a", 2**63, -(2**63)], k=2)
        made += [("array.slice", [[1, 2, 3, 4], *bounds]), ("array.concat", [value(), value()])]
        made += [("array.flatten", [[value(), value()]]), ("array.reverse", [value()]), ("array.concat", [[1], [2]])]
        start = random.choice([list, RegoSet])(random.choices("abcz", k=random.randint(0, 2)))
        made += [(f"graph.{name}", [graph(), start]) for name in ("reachable", "reachable_paths")]
        made.append(("graph.reachable", [value(), value()]))
    return made


def test_structures_mean_what_they_mean_in_opa(tmp_path: Path) -> None:
    hold_against_opa(calls(), tmp_path)


@pytest.mark.parametrize(("name", "args", "answer"), MEANINGS)
def test_what_structures_mean(name: str, args: list[Any], answer: Any) -> None:
    assert BUILTINS[name](*args) == answer


def test_a_walk_goes_in_opas_order() -> None:
    document = {"b": [1, {"x": RegoSet([2, "y"])}], "a": {"10": 1, "9": None}, key(True): []}
    query = f"[step | walk({written(document)}, step)]"
    done = subprocess.run([str(opa_binary()), "eval", "--format", "json", query], capture_output=True, check=True)
    assert as_json(BUILTINS["walk"](document)) == json.loads(done.stdout)["result"][0]["expressions"][0]["value"]


def test_graphs_and_runs_take_bounded_time() -> None:
    everyone = {str(node): [str(other) for other in range(300)] for node in range(300)}
    started = time.process_time()
    assert BUILTINS["graph.reachable_paths"](everyone, ["0"]) is UNDEFINED
    assert len(BUILTINS["graph.reachable"](everyone, ["0"])) == 300
    assert BUILTINS["object.subset"]([1] * 50_000, [1] * 25_000 + [2]) is False
    assert time.process_time() - started < 5
