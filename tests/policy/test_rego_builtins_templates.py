"""Go's templates: all that they may do, and that they come to an end."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from policy.rego.values import RegoSet
from tests.policy.called_in_opa import Call, hold_against_opa

DATA: dict[str, Any] = {
    "a": "x<y>&'\"é",
    "n": 5,
    "f": 1.5,
    "neg": -2,
    "z": 0,
    "t": True,
    "nul": None,
    "e": [],
    "em": {},
    "s": "",
    "l": [1, "b", None, [2], {"k": "v"}],
    "m": {"b": 2, "a": "A", "nul": None, "m": {"x": "deep"}},
    "u": "http://a b/?q=1&é",
    "ln": ["q", "w"],
    "big": 1e300,
}
FIELDS = [
    *(
        "{{.a}}",
        "{{.n}}",
        "{{.f}}",
        "{{.nul}}",
        "{{.missing.x}}",
        "{{.nul.x}}",
        "{{.l}}",
        "{{.m}}",
        "{{.m.m.x}}",
        "{{.}}",
    ),
    *("{{$}}", "{{$.m.a}}", "{{.a.b}}", "{{(.m.nul).x}}", "{{.a.}}", "{{.a .n}}", "{{.m .a}}", "{{.é}}", "{{.1}}"),
    *(
        "{{$x := .m}}{{$x.a}}{{$x.zz}}{{$x.nul}}",
        "{{$x}}",
        "{{$x := 1}}{{$x = 2}}{{$x}}",
        "{{$x = 2}}",
        "{{$a,$b := .l}}",
    ),
]
CONTROLS = [
    *("{{if .a}}y{{else}}n{{end}}", "{{if .z}}y{{else}}n{{end}}", "{{if .s}}y{{else if .t}}e{{else}}n{{end}}"),
    *(
        "{{with .m}}{{.a}}{{end}}",
        "{{with .e}}a{{else with .m}}{{.b}}{{else}}c{{end}}",
        "{{with $y := .a}}{{$y}}{{end}}",
    ),
    *(
        "{{range .l}}[{{.}}]{{end}}",
        "{{range $i, $e := .l}}{{$i}}={{$e}};{{end}}",
        "{{range $k, $v := .m}}{{$k}}:{{$v}}{{end}}",
    ),
    *(
        "{{range .e}}x{{else}}none{{end}}",
        "{{range .nul}}x{{else}}none{{end}}",
        "{{range .a}}x{{end}}",
        "{{range 3}}{{.}}{{end}}",
    ),
    *(
        "{{range $i, $j := 2}}{{$i}}{{end}}",
        "{{range .l}}{{if .}}{{continue}}{{end}}{{break}}{{end}}",
        "{{range .l}}{{.x}}{{end}}",
    ),
    *(
        "{{break}}",
        "{{$i := 0}}{{range $i = .ln}}{{end}}{{$i}}",
        "{{range $e := .l}}{{$e.k}}{{end}}",
        "{{end}}",
        "{{else}}",
    ),
    *("{{if .t}}", "{{if .t}}a{{else}}b{{else}}c{{end}}", "{{if}}a{{end}}", "{{if $y := .z}}{{else}}{{$y}}{{end}}"),
    *('{{define "T"}}[{{.}}]{{end}}{{template "T" .n}}{{template "T"}}', '{{template "none"}}', "{{template .a}}"),
    *('{{block "B" .a}}<{{.}}>{{end}}', '{{define "T"}}{{template "T"}}{{end}}{{template "T"}}', '{{define "x"}}a'),
    *('{{define "T"}}a{{end}}{{define "T"}}b{{end}}', '{{$v := 1}}{{define "T"}}{{$v}}{{end}}'),
    *(
        "a {{- .n -}} b",
        "a {{- /* c */ -}} b",
        "{{/* c */}}x",
        "{{ /* c */ }}",
        "{{/* c }}",
        "{{-3}}",
        "{{ - 3}}",
        "{{3 -}} y",
    ),
    *(
        "{{",
        "}}",
        "{{}}",
        "{{.n }",
        "{{(.n}}",
        "{{.n)}}",
        "{{((.n))}}",
        "{{foo}}",
        "{{call .a}}",
        "{{1 | 2}}",
        "{{.a | .n}}",
    ),
]
CALLS = [
    *("len .a", "len .l", "len .n", "len .nul", "len 3", "index .l 1", "index .l 5", 'index .m "a"', 'index .m "zz"'),
    *("index .l 3 0", "index .m .n", "(index .l 4).k", "index .nul 0", "index .l", "slice .a 1 3", "slice .l 1 3 4"),
    *("slice .a 9 1", "slice .n 0 1", "and .t .a", "and .z .s", "or .s .nul", "and", "not .s", "not", "eq .a .a"),
    *("eq .n 5", 'eq .n "5"', "eq .nul nil", "eq .l .l", "eq .l .nul", "eq 1 1.0", "eq 1 2 1", "eq 1", "ne .a .n"),
    *(
        "lt .n .f",
        "lt 1 2",
        'gt "b" "a"',
        "lt .t .t",
        "lt 1 .n",
        "ge 1.5 1.5",
        "print .a .n",
        "print 1 2",
        "print .nul",
    ),
    *("println .a 1", 'printf "%s-%d" .a 3', 'printf "%5.2f|" 3.14159', "printf .n", "html .a", "js .a", "urlquery .u"),
    *('.a | html | printf "%s!"', "html .missing", "js .n", "1.5e3", "0x1F", "017", "0b11", "'a'", "'\\n'", "`raw\\n`"),
    *('"q\\t\\x41\\u00e9\\101"', '"bad\\q"', "true", "nil", "-3", ".5", "1e21", "99999999999999999999", "not nil"),
    *("if and .t (gt (len .l) 2) | not}}1{{else}}2{{end", '.n | printf "%s %s" .a', 'printf "%[2]s %[1]s" .a .s'),
]
VARIABLES: list[Any] = [
    *(
        {},
        {"a": RegoSet([1])},
        {"a": RegoSet()},
        {1: 2},
        {"a": "\x07"},
        {"a": "\n\t\b\f\r"},
        {"a": "\u200b\x7f"},
        {"a": {}},
    ),
    *({"a": "😀"}, {"a": "\U000e0001"}, None, [], "x", 1),
]
ODD: list[Any] = [None, 1, [], {}]
MEANINGS = [
    ("hello {{.name}}", {"name": "é"}, "hello é"),
    ("{{.missing}}", {}, "<undefined>"),
    ("{{range $i, $n := .l}}{{if $i}},{{end}}{{$n}}{{end}}", {"l": [1, 2.5]}, "1,2.5"),
    ("{{.a.b}}", {"a": 1}, UNDEFINED),
    ("{{", {}, UNDEFINED),
    ('{{index "text" 0}}', {}, UNDEFINED),
    ("{{1_000}}", {}, UNDEFINED),
    ('{{printf "%d" .n}}', {"n": 5}, UNDEFINED),
]


def calls() -> list[Call]:
    random = Random(7)
    templates = [*FIELDS, *CONTROLS, *(f"{{{{{call}}}}}" for call in CALLS)]
    odds = [
        "{{if .t}}",
        "{{end}}",
        "{{else}}",
        " ",
        "\n",
        "{{range .ln}}",
        "{{with .m}}",
        "{{- ",
        " -}}",
        "{{$q := 1}}",
        "{{$q}}",
    ]
    mixed = ["".join(random.choices([*random.choices(templates, k=4), *odds], k=4)) for _ in range(300)]
    made: list[Call] = [("strings.render_template", [one, DATA]) for one in [*templates, *mixed]]
    made += [("strings.render_template", ["{{.a}}", one]) for one in VARIABLES]
    return made + [("strings.render_template", [odd, {}]) for odd in ODD]


def test_templates_mean_what_they_mean_in_opa(tmp_path: Path) -> None:
    hold_against_opa(calls(), tmp_path)


@pytest.mark.parametrize(("template", "variables", "answer"), MEANINGS)
def test_what_templates_mean(template: str, variables: Any, answer: Any) -> None:
    assert BUILTINS["strings.render_template"](template, variables) == answer


@pytest.mark.parametrize(
    "template",
    [
        "{{range 9999999}}{{range 9999999}}{{end}}{{end}}",
        "{{range 9999999}}x{{end}}",
        "{{range 9999999}}{{len (print $ $ $)}}{{end}}",
        '{{define "T"}}{{template "T"}}{{template "T"}}{{end}}{{template "T"}}',
        "{{if .}}" * 50_000,
        "{{" + "(" * 50_000,
        "{{range .l}}{{range $.l}}{{range $.l}}{{$}}{{end}}{{end}}{{end}}",
    ],
)
def test_every_template_comes_to_an_end(template: str) -> None:
    started = time.process_time()
    assert BUILTINS["strings.render_template"](template, {"l": list(range(200))}) is UNDEFINED
    assert time.process_time() - started < 5
