"""The data store against the plainest model of it: documents that are copied, patches by jsonpatch."""

from __future__ import annotations

import copy
import os
import tracemalloc
from typing import Any

import jsonpatch
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from policy import decode_json, encode_json
from policy.data import DataStore, PatchError, path_of, pointer_to, release
from policy.rego.values import UNDEFINED

Path = tuple[str, ...]
HIDDEN = object()
EXAMPLES = 3000 if os.environ.get("PORTCULLIS_PROVE") else 60

STEPS = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(tuple)
SCALARS = st.one_of(st.integers(0, 3), st.none(), st.text("xy~/", max_size=2))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.dictionaries(STEPS, inner, max_size=3), st.lists(inner, max_size=3)),
    max_leaves=8,
)
BASES = st.dictionaries(STEPS, VALUES, max_size=3)
PLACES = st.sampled_from(["a", "b", "c", "0", "1", "2", "-", "01"])
POINTERS = st.lists(PLACES, max_size=4).map(lambda steps: "".join(f"/{step}" for step in steps))


def of_path(value: Any, path: Path) -> Any:
    """What lies at a path through objects."""
    for step in path:
        value = value.get(step, HIDDEN) if isinstance(value, dict) else HIDDEN
    return value


def with_value(document: Any, path: Path, value: Any) -> Any:
    """A copy with the value at the path, through objects that are made where there are none."""
    if not path:
        return copy.deepcopy(value)
    changed = copy.deepcopy(document) if isinstance(document, dict) else {}
    changed[path[0]] = with_value(changed.get(path[0]), path[1:], value)
    return changed


def without(document: Any, path: Path) -> Any:
    """A copy without what lies at the path, if it does."""
    if of_path(document, path) is HIDDEN:
        return document
    changed = copy.deepcopy(document)
    del of_path(changed, path[:-1])[path[-1]]
    return changed


class Model:
    """A base, what is live by path (no path below another), and the objects that stay when they are empty."""

    def __init__(self, base: Any):
        self.base = copy.deepcopy(base)
        self.live: dict[Path, Any] = {}
        self.kept: set[Path] = set()

    @property
    def document(self) -> Any:
        document = copy.deepcopy(self.base)
        for path, value in self.live.items():
            document = without(document, path) if value is HIDDEN else with_value(document, path, value)
        for path in sorted(self.kept):
            if not isinstance(of_path(document, path), dict):
                document = with_value(document, path, {})
        return document

    def put(self, path: Path, value: Any) -> None:
        over = self.over(path)
        if over is None:
            self.clear(path)
            self.live[path] = copy.deepcopy(value)
        else:
            self.live[over] = with_value(self.live[over], path[len(over) :], value)

    def remove(self, path: Path) -> None:
        over = self.over(path)
        if over is None:
            self.clear(path)
        else:
            self.live[over] = without(self.live[over], path[len(over) :])

    def patch(self, operations: list[Any]) -> None:
        """Raises JsonPatchException; then the model is as it was."""
        before = copy.deepcopy((self.live, self.kept), {id(HIDDEN): HIDDEN})
        try:
            for operation in operations:
                self.operate(operation)
        except Exception:
            self.live, self.kept = before
            raise

    def operate(self, operation: dict[str, Any]) -> None:
        before = self.document
        after = jsonpatch.apply_patch(copy.deepcopy(before), [operation])
        name, path = operation["op"], path_of(operation["path"])
        if name != "test" and not path:
            raise jsonpatch.JsonPatchConflict("the whole")
        if name == "move":
            if not operation["from"]:
                raise jsonpatch.JsonPatchConflict("the whole")
            source = path_of(operation["from"])
            between = jsonpatch.apply_patch(copy.deepcopy(before), [{"op": "remove", "path": operation["from"]}])
            self.took(source, between)
        if name == "remove":
            self.took(path, after)
        elif name != "test":
            self.wrote(path, after)

    def wrote(self, path: Path, after: Any) -> None:
        whole = self.whole(path, after)
        self.put(whole, of_path(after, whole))

    def took(self, path: Path, after: Any) -> None:
        whole = self.whole(path, after)
        if whole != path or self.over(path) is not None:
            self.put(whole, of_path(after, whole))
            return
        self.clear(path)
        if of_path(self.base, path) is not HIDDEN:
            self.live[path] = HIDDEN
        above = path[:-1]
        if above and of_path(after, above) == {} and not isinstance(of_path(self.base, above), dict):
            self.kept.add(above)

    def whole(self, path: Path, after: Any) -> Path:
        """The path, or as much of it as leads to the live value or the first array that it goes through."""
        if (over := self.over(path)) is not None:
            return over
        return next((path[:n] for n in range(len(path)) if isinstance(of_path(after, path[:n]), list)), path)

    def over(self, path: Path) -> Path | None:
        return next((path[:n] for n in range(1, len(path)) if path[:n] in self.live), None)

    def clear(self, path: Path) -> None:
        self.live = {other: value for other, value in self.live.items() if other[: len(path)] != path}
        self.kept = {other for other in self.kept if other[: len(path)] != path}


def operation(name: str, path: str, source: str, value: Any) -> dict[str, Any]:
    members = {"add": "value", "replace": "value", "test": "value", "move": "from", "copy": "from"}
    given = {"from": source, "value": value}
    return {"op": name, "path": path} | ({members[name]: given[members[name]]} if name in members else {})


OPERATIONS = st.builds(
    operation, st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), POINTERS, POINTERS, VALUES
)


class Replica:
    """A store elsewhere, which is told each change as JSON."""

    def __init__(self, of: DataStore, base: Any) -> None:
        self.store = DataStore(copy.deepcopy(base))
        told = [(path, None if value is UNDEFINED else encode_json(value), kept) for path, value, kept in of.live()]
        self.store.lay((path, UNDEFINED if text is None else decode_json(text), kept) for path, text, kept in told)

    def put(self, path: Path, value: Any) -> None:
        self.store.put(path, decode_json(encode_json(value)))

    def removed(self, path: Path) -> None:
        self.store.remove(path)

    def patched(self, operations: Any) -> None:
        self.store.patch(decode_json(encode_json(operations)))


class Store(RuleBasedStateMachine):
    """Any order of changes gives the model's document, here and in a replica that joined at any time; `changed` tells
    at least what changed.
    """

    @initialize(base=BASES)
    def start(self, base: Any) -> None:
        self.told: list[Path] = []
        self.bases = [(base, copy.deepcopy(base))]
        self.store = DataStore(base, self.told.extend)
        self.model = Model(base)
        self.seen = self.model.document
        self.join()

    @rule()
    def join(self) -> None:
        self.replica = self.store.journal = Replica(self.store, self.bases[-1][1])

    @rule(path=PATHS, value=VALUES)
    def put(self, path: Path, value: Any) -> None:
        self.store.put(path, value, dry_run=True)
        self.nothing_changed()
        self.store.put(path, value)
        self.model.put(path, value)

    @rule(path=PATHS)
    def remove(self, path: Path) -> None:
        self.store.remove(path, dry_run=True)
        self.nothing_changed()
        self.store.remove(path)
        self.model.remove(path)

    @rule(operations=st.lists(OPERATIONS, max_size=4))
    def patch(self, operations: list[Any]) -> None:
        self.apply(operations)

    @rule(data=st.data(), operations=st.lists(OPERATIONS, min_size=1, max_size=3))
    def patch_what_is_there(self, data: Any, operations: list[Any]) -> None:
        there = ["/".join(("", *path)) for path in paths(self.model.document)]
        if there:
            places = st.sampled_from(there)
            self.apply([one | {"path": data.draw(places)} | from_there(one, data.draw(places)) for one in operations])

    @rule(base=BASES)
    def rebase(self, base: Any) -> None:
        self.bases.append((base, copy.deepcopy(base)))
        self.model.base = copy.deepcopy(base)
        same = copy.deepcopy(base)  # before the live values lie in it
        self.store.rebase(base)
        self.replica.store.rebase(same)

    @rule(index=st.integers(0, 2))
    def rebase_on_an_earlier_base(self, index: int) -> None:
        base, kept = self.bases[-1 - min(index, len(self.bases) - 1)]
        self.store.rebase(base)
        self.replica.store.rebase(copy.deepcopy(kept))
        self.model.base = copy.deepcopy(kept)
        self.bases.append((base, kept))

    def apply(self, operations: list[Any]) -> None:
        try:
            self.model.patch(operations)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
            with pytest.raises(PatchError):
                self.store.patch(operations)
            self.nothing_changed()
        else:
            would = self.store.patch(operations, dry_run=True)
            self.nothing_changed()
            assert self.store.patch(operations) == would == self.told

    def nothing_changed(self) -> None:
        assert self.store.document == self.seen
        assert not self.told

    @invariant()
    def same_document(self) -> None:
        document = self.model.document
        assert self.store.document == document
        assert self.replica.store.document == document
        for path in different(self.seen, document):
            assert any(path[: len(told)] == told for told in self.told), (path, self.told)
        self.seen = document
        self.told.clear()

    @invariant()
    def other_bases_are_as_they_were(self) -> None:
        assert all(base == kept for base, kept in self.bases if base is not self.bases[-1][0])

    def teardown(self) -> None:
        if hasattr(self, "store"):
            for path in {path[:1] for path in paths(self.store.document)} | {(step,) for step in "abc0123-"}:
                self.store.remove(path)
            self.store.remove(("01",))
            base, kept = self.bases[-1]
            assert self.store.document is base
            assert base == kept


def paths(value: Any) -> list[Path]:
    """Of everything in a document, arrays' elements too."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [
        path
        for step, inner in items
        for path in ((str(step),), *((str(step).replace("~", "~0"), *rest) for rest in paths(inner)))
    ]


def from_there(one: dict[str, Any], place: str) -> dict[str, Any]:
    return {"from": place} if "from" in one else {}


def different(a: Any, b: Any, path: Path = ()) -> list[Path]:
    """Paths of the values that differ, the deepest that are not both objects."""
    if isinstance(a, dict) and isinstance(b, dict):
        steps = {*a, *b}
        return [p for s in steps for p in different(a.get(s, HIDDEN), b.get(s, HIDDEN), (*path, s))]
    return [] if a == b else [path]


@pytest.mark.prove
class TestStore(Store.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=EXAMPLES, stateful_step_count=20)


def test_what_is_hidden_comes_back_only_when_it_is_lifted() -> None:
    first: dict[str, Any] = {"a": {"b": {"c": 1}}}
    second: dict[str, Any] = {"a": 5}
    told: list[Path] = []
    store = DataStore(first, told.extend)
    store.patch([{"op": "remove", "path": "/a/b/c"}])
    assert first == {"a": {"b": {}}}
    store.rebase(second)
    assert (first, second) == ({"a": {"b": {"c": 1}}}, {"a": 5})
    store.put(("a", "b", "d"), 1)
    assert second == {"a": {"b": {"d": 1}}}
    assert told == [("a", "b", "c"), (), ("a",)]
    store.remove(("a", "b", "d"))
    assert second == {"a": 5}
    store.rebase(first)
    assert first == {"a": {"b": {}}}
    store.remove(("a", "b", "c"))
    assert first == {"a": {"b": {"c": 1}}}


def test_what_is_made_on_the_way_is_told_where_it_begins() -> None:
    told: list[Path] = []
    store = DataStore({"a": {"b": 1}}, told.extend)
    store.patch([{"op": "remove", "path": "/a/b"}])
    store.rebase({})
    told.clear()
    store.put(("a", "b", "c"), 1)  # through what was hidden there
    assert (told, store.document) == ([("a",)], {"a": {"b": {"c": 1}}})


# RFC 6902, appendix A, less A.10 (its whole document is replaced) and A.13 (duplicate members, which decoders refuse).
RFC = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "q"}], {"foo": ["bar", "q", "baz"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "q", "foo": "bar"}, [{"op": "replace", "path": "/baz", "value": "b"}], {"baz": "b", "foo": "bar"}),
    ({"f": {"w": 1}, "q": {}}, [{"op": "move", "from": "/f/w", "path": "/q/t"}], {"f": {}, "q": {"t": 1}}),
    ({"f": ["a", "b", "c"]}, [{"op": "move", "from": "/f/1", "path": "/f/2"}], {"f": ["a", "c", "b"]}),
    ({"f": ["a", 2]}, [{"op": "test", "path": "/f/1", "value": 2.0}], {"f": ["a", 2]}),
    ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"g": {}}}], {"foo": "bar", "child": {"g": {}}}),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": 1, "xyz": 1}], {"foo": "bar", "baz": 1}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
]


@pytest.mark.parametrize(("base", "patch", "wanted"), RFC)
def test_the_examples_of_the_rfc(base: Any, patch: Any, wanted: Any) -> None:
    store = DataStore(base)
    store.patch(patch)
    assert store.document == wanted


WRONG = [
    ("add", "operation 0: a patch is an array of operations"),
    ({"op": "add"}, "operation 0: a patch is an array of operations"),
    ([1], "operation 0: an operation is an object"),
    ([{"op": "merge", "path": "/a"}], "operation 0: op is none of add, remove, replace, move, copy, test"),
    ([{"op": "add", "value": 1}], "operation 0: path is no JSON pointer"),
    ([{"op": "add", "path": "/n"}], "operation 0 at /n: add needs a value"),
    ([{"op": "move", "path": "/n"}], "operation 0: from is no JSON pointer"),
    ([{"op": "remove", "path": "n"}], "operation 0 at n: a JSON pointer starts with /"),
    ([{"op": "remove", "path": "/n~"}], "operation 0 at /n~: in a JSON pointer, ~ is written ~0 and / is written ~1"),
    ([{"op": "add", "path": "", "value": {}}], "operation 0: the document as a whole is the revision's"),
    ([{"op": "remove", "path": "/x"}], "operation 0 at /x: there is no /x"),
    ([{"op": "add", "path": "/x/y", "value": 1}], "operation 0 at /x/y: there is no /x"),
    ([{"op": "add", "path": "/n/y", "value": 1}], "operation 0 at /n/y: what is above it is neither object nor array"),
    ([{"op": "add", "path": "/l/4", "value": 1}], "operation 0 at /l/4: the array has no place 4"),
    ([{"op": "add", "path": "/l/01", "value": 1}], "operation 0 at /l/01: the array has no place 01"),
    ([{"op": "replace", "path": "/l/2", "value": 1}], "operation 0 at /l/2: there is no /l/2"),
    ([{"op": "remove", "path": "/l/-"}], "operation 0 at /l/-: there is no /l/-"),
    ([{"op": "copy", "from": "/x", "path": "/y"}], "operation 0 at /y: there is no /x"),
    ([{"op": "move", "from": "/o", "path": "/o/p/q"}], "operation 0 at /o/p/q: nothing moves into itself"),
    ([{"op": "test", "path": "/n", "value": True}], "operation 0 at /n: the value there is another"),
    ([{"op": "add", "path": "/n", "value": {1}}], "operation 0 at /n: set is not a JSON value"),
    ([{"op": "add", "path": "/n", "value": float("nan")}], "operation 0 at /n: nan is not a"),
    ([{"op": "test", "path": "/n", "value": 1}] * 5_001, "operation 5000: a patch has at most 5000 operations"),
]


@pytest.mark.parametrize(("patch", "message"), WRONG)
def test_a_patch_that_cannot_be_done_says_where_and_why(patch: Any, message: str) -> None:
    told: list[Path] = []
    store = DataStore({"n": 1, "l": [1, 2], "o": {"p": {}}}, told.extend)
    changes = [{"op": "add", "path": "/l/0", "value": 3}, {"op": "remove", "path": "/o/p"}]
    with pytest.raises(PatchError, match=f"^{message}") as caught:
        store.patch(patch)
    if isinstance(patch, list) and len(patch) == 1:
        with pytest.raises(PatchError, match=r"^operation [03]"):
            store.patch([*changes, {"op": "remove", "path": "/l/0"}, *patch])
    assert caught.value.index == (5_000 if len(patch) > 5_000 else 0)
    assert store.document == {"n": 1, "l": [1, 2], "o": {"p": {}}}
    assert told == []


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


def test_what_is_too_large_or_deep_is_refused() -> None:
    store = DataStore({"a": 1})
    store.put(("a",), nested(63))
    for depth, path in ((64, ("a",)), (63, ("a", "b"))):
        with pytest.raises(ValueError, match="at most 64 deep"):
            store.put(path, nested(depth))
    with pytest.raises(ValueError, match="more than 1000000 values"):
        store.put(("b",), [0] * 1_000_000)
    with pytest.raises(ValueError, match="at least one step"):
        store.put((), 1)
    with pytest.raises(TypeError):
        store.put(("b",), object())
    store.put(("o",), [0] * 1000)
    doubling = [{"op": "copy", "from": "/o", "path": "/o/-"} for _ in range(25)]
    with pytest.raises(PatchError, match="more than 1000000 values"):
        store.patch(doubling)
    assert store.document == {"a": nested(63), "o": [0] * 1000}


def test_nobody_else_holds_what_is_put() -> None:
    value = {"x": [1]}
    store = DataStore({})
    store.put(("a",), value)
    store.patch([{"op": "add", "path": "/b", "value": value}, {"op": "copy", "from": "/a", "path": "/c"}])
    value["x"].append(2)
    store.patch([{"op": "add", "path": "/a/x/-", "value": 3}])
    assert store.document == {"a": {"x": [1, 3]}, "b": {"x": [1]}, "c": {"x": [1]}}


def test_values_are_read_where_they_lie() -> None:
    store = DataStore({"a": {"x/~": [{"b": 1}]}})
    assert store.at(path_of("/a/x~1~0/0/b")) == 1
    assert store.at(()) is store.document
    missing = (("a", "y"), ("a", "x/~", "1"), ("a", "x/~", "-"), ("a", "x/~", "0", "b", "c"), ("a", "x/~", "²"))
    assert all(store.at(path) is UNDEFINED for path in missing)
    assert pointer_to(("a", "x/~")) == "/a/x~1~0"


def test_a_change_costs_what_it_changes() -> None:
    """As told by the memory that it takes: a copy of the table would be a megabyte."""
    principals = {f"p{number}": {"roles": ["r"]} for number in range(20_000)}
    store = DataStore({"principals": principals, "array": [{"a": 1}] * 20_000})
    store.patch([{"op": "add", "path": "/array/9/b", "value": 1}, {"op": "add", "path": "/array/-", "value": 0}])
    changes = [
        {"op": "add", "path": "/principals/p7/roles/-", "value": "s"},
        {"op": "replace", "path": "/principals/p8/roles", "value": []},
        {"op": "remove", "path": "/principals/p9"},
    ]
    tracemalloc.start()
    try:
        store.patch(changes)
        with pytest.raises(PatchError):
            store.patch([*changes[:2], *changes])
        store.put(("principals", "p10"), {})
        store.remove(("principals", "p9"))
        store.rebase(store.document)
        store.patch(
            [{"op": "replace", "path": "/array/9/b", "value": 2}, {"op": "add", "path": "/array/-", "value": 0}]
        )
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()


def test_what_is_released_is_taken_apart() -> None:
    inner: dict[str, Any] = {"b": [1, {"c": {}}]}
    document = {"a": inner, "d": 1}
    release(document)
    assert (document, inner) == ({}, {})
