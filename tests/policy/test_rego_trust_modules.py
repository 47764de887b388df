"""`rego.parse_module`: modules as data."""

from __future__ import annotations

import pytest

from policy.rego.builtins.modules import parse_module
from policy.rego.values import UNDEFINED, equal
from tests.policy.opa_answers import opa_answers

_MODULES = [
    "package foo",
    "# a\n\n\tpackage foo # b\n\n# c\np := 1 # d",
    'package foo.data["a b"]\n\nimport data.a as a\nimport data.b["c d"]\nimport input as i\nimport input.x\np := i',
    """package heads
default p := {"a": [1.50, null]}
p := 1 if { true } else if { false } else = 3 if { true }
p = ((1) + 2) if { true } else := 2
p.f(x) := 1 if { true }
p.f(x) := 1
p.f(x) if { true }
p.q if { true }
p.q := 1 if { true }
p.q = 1
p[x] if { x := 1 }
p[input.x] if { true }
p[[count(x) | x = 1]] if { true }
p[count([3])] = 2 if { true }
p.q contains 1
p.q.r contains x if x in [1]
f(_, [_], a) := 2 if { a[_] } { a[_]; a[_] }
f(_, _) := 2 if { a[_] } else := 3 if { a[_] }
""",
    """package bodies
p if {
    data; input
    not data.x with input as 3 with data.y as {}
    f(3) with f as g
    (1 + 2) * 3 - -x / 4 % 5 <= 4e2
    f(x)[0].b; [1, 2][x]; {1, 2}[x].y[[x, y]]; {"a": 1}.b; x.y(3).z
    some a, b
    some k, v in x
    every y in [1] { y & x | {z} != set() }
    every y, z in data { x[_] }
    not 1, 2 in x
    {k: v | k; v := 1} == $`a {1} {input.x with input as 3}\\n`
    $"" == $"{x + 1} \\n {"b"}"
}""",
    """package order
p := {
    1.50, 1e3, 1.0, 1, "a", b, c[d], c.d, [1, 2], [1], [b], {}, {3: 4}, {3: 3}, {2, 1}, {x | x}, {x | y}, [x | x],
    {x: 1 | x}, f(x), 1 + 3, $"a", $"{x}", $`{x}`, $"{x + 1}", true, null, null, {x | x := 1}, {x | x = 1}, {_, _},
    {x | some x in y}, {x | not x}, {x | every x in y { x }}, {"b": 1, "a": 2, c: 3, c.d: 4, [1]: 5, 1: 7},
}""",
    "package keywords\nif.x := 1\np if { some.foo == if.x; x.null.not } { not in[1] }",
    "package negation\np if { not x }\nimport future.keywords\nq if { not x with input as 1 }\nr := {{x | not x}, {x}}",
]


@pytest.mark.parametrize("text", _MODULES)
def test_modules_are_the_data_that_opa_makes_of_them(text: str) -> None:
    """Rules, terms, comments and the order of sets."""
    [expected] = opa_answers("rego.parse_module", [["x.rego", text]])
    assert equal(parse_module("x.rego", text), expected)


@pytest.mark.parametrize("text", ["", "package foo.", "p := 1", "package a\np {", "package a\nx := .5", 3, None])
def test_what_is_no_module_is_undefined(text: object) -> None:
    """OPA has an error."""
    assert parse_module("x.rego", text) is UNDEFINED


@pytest.mark.parametrize("piece", ["[a|a,", "{a,{b|", "{x;{c|d;", "{a:b,{c|", "f(a,b in "])
def test_a_text_cannot_take_long(piece: str) -> None:
    """Pieces that may begin several things, inside one another and never ended."""
    assert parse_module("x.rego", "package a\np := " + 500 * piece) is UNDEFINED
