"""Bundles from files, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import Bundle, PolicyError, read_bundle
from policy.bundles import read_data


def test_starter_policy_is_the_default() -> None:
    bundle = read_bundle()
    assert set(bundle.sources) == {
        "starter/access.rego",
        "starter/guard.rego",
        "starter/response.rego",
        "starter/signals.rego",
    }
    assert bundle.data == {}


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "rules" / "deep").mkdir(parents=True)
    (tmp_path / "rules" / "deep" / "a.rego").write_text("package a\n")
    (tmp_path / "rules" / "a_test.rego").write_text("package a_test\n")
    (tmp_path / "rules" / "notes.txt").write_text("not policy")
    (tmp_path / "b.rego").write_text("package b\n")
    (tmp_path / "data.yaml").write_text("accounts:\n  '1': {owner: x}\n")
    bundle = read_bundle([tmp_path / "rules", tmp_path / "b.rego"], tmp_path / "data.yaml")
    assert sorted(Path(name).name for name in bundle.sources) == ["a.rego", "b.rego", "signals.rego"]
    assert bundle.data == {"accounts": {"1": {"owner": "x"}}}


def test_revision_is_of_the_content() -> None:
    one = Bundle({"a.rego": "package a"}, {"x": 1})
    assert one.revision == Bundle({"a.rego": "package a"}, {"x": 1}).revision
    assert len({one.revision, Bundle({"a.rego": "package a"}, {}).revision, Bundle({}, {"x": 1}).revision}) == 3
    assert len(one.revision) == 12


BROKEN = {
    "data.json": ('{"a": }', ":1:7:"),
    "data.yaml": ("a: [1\nb: 2\n", ":2:"),
    "list.json": ("[1]", "must be an object"),
    "number.yaml": ("1: 2", "not text"),
    "nan.yaml": ("a: .nan", "not a number"),
    "date.yaml": ("a: 2024-01-01", "not a JSON value"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data(tmp_path: Path, name: str) -> None:
    text, message = BROKEN[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(PolicyError) as refusal:
        read_bundle((), path)
    assert str(path) in str(refusal.value)
    assert message in str(refusal.value)


def test_missing_and_unreadable(tmp_path: Path) -> None:
    (tmp_path / "bad.rego").write_bytes(b"package \xff")
    for paths in ([tmp_path / "no.rego"], [tmp_path / "bad.rego"]):
        with pytest.raises(PolicyError):
            read_bundle(paths)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PolicyError, match=r"no \.rego file"):
        read_bundle([tmp_path / "empty"])


@given(st.binary(max_size=60), st.sampled_from(["data.json", "data.yaml"]))
def test_any_bytes_are_an_object_or_a_problem(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    try:
        found: object = read_data(path)
    except PolicyError as error:
        found = error.problems[0].file
    assert isinstance(found, dict) or found == str(path)
