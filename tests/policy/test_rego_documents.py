"""JSON documents: options of writing, paths, and patches (RFC 6902), held against the real OPA."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.rego.builtins import BUILTINS
from policy.rego.values import MAX_DEPTH, UNDEFINED, RegoSet, equal
from tests.policy.exact_answers import differences

KEYS = ("a", "b", "a/b", "~x", "0", "1")
OPTIONS: tuple[Any, ...] = (
    *({}, {"pretty": True}, {"pretty": False, "indent": "  "}, {"indent": "  "}, {"prefix": "> "}, {"x": 1}, 1),
    *({"prefix": ">", "indent": ""}, {"pretty": 1}, {"indent": 1}, {"pretty": True, "prefix": "\n"}),
)
patch = BUILTINS["json.patch"]


def document(depth: int = 0) -> Any:
    shape = random.random()
    if shape < 0.3 or depth > 3:
        return random.choice((None, True, 1, 2.5, "x", "<é>", -3))
    if shape < 0.6:
        return [document(depth + 1) for _ in range(random.randint(0, 3))]
    return mapping(depth)


def mapping(depth: int = 0) -> dict[str, Any]:
    return {key: document(depth + 1) for key in random.sample(KEYS, random.randint(0, 4))}


def path() -> Any:
    steps = random.choices([*KEYS, "a~1b", "~0x", "", "-", "01", "1.0", "+1"], k=random.randint(1, 3))
    return random.choice(("/".join(steps), "/" + "/".join(steps), "/" + "/".join(steps), steps, [0, "a"], "", "/", 1))


def operation() -> dict[str, Any]:
    made = {"op": random.choice(("add", "add", "remove", "replace", "copy", "move", "test", "other")), "path": path()}
    made |= {"from": path()} if random.random() < 0.9 else {}
    return made | ({"value": document(2)} if random.random() < 0.9 else {})


def test_as_opa_does(tmp_path: Path) -> None:
    calls = {"json.marshal_with_options": [[document(), random.choice(OPTIONS)] for _ in range(300)]}
    calls |= {name: [[mapping(), [path(), path()]] for _ in range(1000)] for name in ("json.filter", "json.remove")}
    calls["json.patch"] = [call for _ in range(2000) if not _opa_errs(call := [document(), [operation()]])]
    assert differences({name: list(map(json.dumps, held)) for name, held in calls.items()}, tmp_path) == []


def _opa_errs(call: list[Any]) -> bool:
    """Removing the root makes OPA panic; moving within an array it looks into the wrong element."""
    op, where = call[1][0]["op"], call[1][0]["path"]
    return (op == "remove" and where == "") or (op == "move" and "[" in json.dumps(call[0]))


def test_several_operations_on_objects_as_opa_does(tmp_path: Path) -> None:
    calls = []
    for _ in range(500):
        source = {"a": {"b": 1, "c": {}}, "d": 2}
        paths = ("/a", "/a/b", "/a/c", "/a/c/e", "/d", "/d/x", "/f")
        calls.append(
            [source, [operation() | {"path": random.choice(paths), "from": random.choice(paths)} for _ in range(3)]]
        )
    assert differences({"json.patch": list(map(json.dumps, calls))}, tmp_path) == []


@pytest.mark.parametrize(
    ("source", "operations", "result"),
    [
        ({"a": [1, 2, 3]}, [("remove", "/a/0"), ("copy", "/a/1", "/z")], {"a": [2, 3], "z": 3}),
        ([[1], [2]], [("add", "0", ["n"]), ("add", "1/0", "q")], [["n"], ["q", 1], [2]]),
        ({"a": 1}, [("move", "/a", "/a/b")], UNDEFINED),
        ({"a": [1]}, [("copy", "/a", "/a/0")], {"a": [[1], 1]}),
        ([1, 2, 3], [("remove", ""), ("add", "", 5)], 5),
        ([1, 2, 3], [("remove", "")], UNDEFINED),
        ([1, 2, 3], [("remove", [0.0])], [2, 3]),
        ([1], [("add", "-", 2), ("test", "/1", 2.0)], [1, 2]),
        ([1], [("test", "/0", True)], UNDEFINED),
        ({"a": RegoSet([1, 2])}, [("remove", ["a", 1]), ("add", ["a", 7], 7)], {"a": RegoSet([2, 7])}),
        ({"a": RegoSet([1])}, [("add", ["a", 7], 8)], UNDEFINED),
        ({"a": RegoSet([RegoSet([3])])}, [("add", ["a", RegoSet([3]), 4], 4)], {"a": RegoSet([RegoSet([3, 4])])}),
    ],
)
def test_patches(source: Any, operations: list[Any], result: Any) -> None:
    made = [
        {"op": op, "from": where[0], "path": where[1]}
        if op in ("move", "copy")
        else {"op": op, "path": where[0], "value": where[-1]}
        for op, *where in operations
    ]
    found = patch(source, made)
    assert found is result if result is UNDEFINED else equal(found, result)


@given(st.lists(st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), st.text(max_size=3)), max_size=3))
def test_a_patch_leaves_the_source_alone(operations: list[Any]) -> None:
    source = {"": [1, {"a": 2}], "a": {"0": []}}
    kept = json.dumps(source)
    patch(source, operations)
    assert json.dumps(source) == kept


def test_patches_are_bounded() -> None:
    assert patch({"a": 1}, [{"op": "copy", "from": "", "path": f"/{at}"} for at in range(40)]) is UNDEFINED
    deep = [{"op": "add", "path": "/a" * depth, "value": {}} for depth in range(1, MAX_DEPTH + 2)]
    assert patch({}, deep) is UNDEFINED
    assert patch({}, deep[: MAX_DEPTH - 1]) is not UNDEFINED


def test_sets_are_filtered_and_removed_from() -> None:
    source = {"a": RegoSet([1, "b"]), "c": 1}
    assert equal(BUILTINS["json.filter"](source, [["a", 1]]), {"a": RegoSet([1])})
    assert equal(BUILTINS["json.remove"](source, RegoSet([RegoSet(), "c"])), UNDEFINED)
    assert equal(BUILTINS["json.remove"](source, RegoSet(["a/b", "c/d"])), {"a": RegoSet([1]), "c": 1})
