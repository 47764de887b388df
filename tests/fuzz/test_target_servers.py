"""Hostile request targets, as servers read them: whatever path is judged, is the one that each of them looks up."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.enforcement.target import split
from tests.path_rules import RULES

pieces = st.sampled_from(
    [
        *(
            "/",
            "//",
            "/./",
            "/../",
            ".",
            "..",
            "admin",
            "a",
            "b",
            "%",
            "%2",
            "%25",
            "%2e",
            "%2E",
            "%2f",
            "%5c",
            "%00",
            "%0a",
        ),
        *(
            "%20",
            "%23",
            "%3f",
            "%3b",
            "%41",
            "%61",
            "%7e",
            "%7f",
            "%c0%ae",
            "%c3%a9",
            "%ff",
            "%u002e",
            "?",
            "#",
            ";",
            "\\",
        ),
        *(
            "&",
            "=",
            "+",
            "@",
            ":",
            "~",
            "*",
            "'",
            "|",
            " ",
            "\t",
            "\r\n",
            "\0",
            "\x7f",
            "\x80",
            "\xff",
            "é",
            "%25%32%65",
        ),
    ]
)
near = st.lists(pieces, max_size=16).map("".join)


@pytest.mark.parametrize("server", RULES)
@given(target=near.map(lambda rest: f"/{rest}") | near | st.binary().map(lambda data: data.decode("latin-1")))
@example(target="/a%23b")
@example(target="/a#b")
@example(target="/a/#/../b")
@example(target="/a%3fb")
@example(target="/a%")
@example(target="/%u002e%u002e/b")
@example(target="/a/%2e%2e/b")
@example(target="/a/b/")
@example(target="/")
def test_what_is_judged_is_what_a_server_looks_up(server: str, target: str) -> None:
    """For any bytes as a target: where `split` accepts it, the server's own rules find the very same path."""
    found = split(target)
    if found is not None:
        assert RULES[server](target.encode("latin-1")) == found[0].encode()


@given(target=near.map(lambda rest: f"/{rest}"))
def test_the_rules_refuse_or_find_a_whole_path(target: str) -> None:
    """No rule lets a path out of its root."""
    for rule in RULES.values():
        found = rule(target.encode("utf-8"))
        assert found is None or (found.startswith(b"/") and b".." not in found.split(b"/"))
