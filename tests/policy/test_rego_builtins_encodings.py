"""Base64, hexadecimal, URLs and their queries."""

from __future__ import annotations

import base64
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from policy.rego.values import RegoSet, key
from tests.policy.called_in_opa import Call, hold_against_opa

ENCODED = [
    *("", "YQ==", "YQ", "YWI=", "YWJj", "AAAA=", "YQ=", "YR==", "Y Q==", "YQ\n==", "\r\nYWJj\n", "a-_a", "a+/a", "é"),
    *("_w==", "/w==", "=", "YWJjYQ", "aa\n\nZ9", "6162", "616", "61g2", "61 62", "FFfe", "61\n"),
]
QUERIES = ["", "a=b&c=d&a=e", "a", "=b", "a=1;b", "%zz=1", "%41=%C3%A9", "a+b=c+d", "&&", "a=%ff", "%", "é=~", "a=b=c"]
SCHEMES = ["", "http:", "HTTPS:", "a1+.-:", "1a:", ":", "mailto:"]
AUTHORITIES = [
    *("", "//", "///", "//host", "//u:p@h.com", "//u @h", "//é@h", "//a@b@h", "//%zz@h", "//[::1]:80", "//[::1"),
    *("//[fe80::1%25en0]", "//[fe80::1%25e%20n%41]", "//[fe80::1%25]", "//[1.2.3.4]", "//h%41", "//h%C3%A9", "//é.com"),
    *("//h h", "//h[1]", "//[::1%en0]", "//a:b", "//h<>", "//h^", "//[::ffff:1.2.3.4]", "//h%25", "//a:80:90", "//h]x"),
]
PATHS = ["", "/a/b", "/a%20b", "/a%2Fb", "/a b", "/é", "/a%zz", "/a!b", "/a%21b", "/a;b,c", "/%41", "/a:b", "/[x]", "*"]
ENDS = ["", "?", "?a=b", "?a?", "#f", "?q#%41é", "#%zz", "#a#b", "\x01", "\x7f"]
ODD: list[Any] = [
    *(None, True, 1, 1.5, [], {}, RegoSet(), ["a"], {"a": 1}, {"a": None}, {"a": ["b", 1]}, {1: "x"}),
    *({"a": RegoSet(["y", "x"])}, {key(True): "q", None: ["z"]}, {"a": []}, {"b": "&= +é~", "a": ["1", "", "2"]}),
]
MEANINGS = [
    ("base64.encode", ["é"], "w6k="),
    ("base64.decode", ["w6k="], "é"),
    ("base64.is_valid", [1], False),
    ("base64url.encode", ["\x00\x10~ÿ"], "ABB-w78="),
    ("base64url.encode_no_pad", ["a"], "YQ"),
    ("base64url.decode", ["YQ"], "a"),
    ("hex.decode", ["6g"], UNDEFINED),
    ("urlquery.encode", ["a b/é~"], "a+b%2F%C3%A9~"),
    ("urlquery.decode", ["a+b%2F"], "a b/"),
    ("urlquery.decode", ["%"], UNDEFINED),
    ("urlquery.encode_object", [{"b": "1", "a": RegoSet(["y", "x"])}], "a=x&a=y&b=1"),
    ("urlquery.decode_object", ["a=1&a=2&b"], {"a": ["1", "2"], "b": [""]}),
    ("uri.parse", ["mailto:a@b.c"], {"scheme": "mailto"}),
    (
        "uri.parse",
        ["HTTP://u:p@[::1]:80/a%2Fb?q=1#f"],
        {
            "scheme": "http",
            "hostname": "::1",
            "port": "80",
            "path": "/a/b",
            "raw_path": "/a%2Fb",
            "raw_query": "q=1",
            "fragment": "f",
        },
    ),
    ("uri.is_valid", ["http://h:80:90/"], False),
    ("uri.is_valid", [""], False),
]


def calls() -> list[Call]:
    random = Random(7)
    families = [name for name in BUILTINS if name.split(".")[0] in ("base64", "base64url", "hex", "urlquery", "uri")]
    made: list[Call] = [(name, [one]) for name, one in product(families, [*ENCODED, *QUERIES, *ODD])]
    for _ in range(100):
        octets = random.randbytes(random.randint(0, 7))
        made.append(("base64.decode", [base64.b64encode(octets).decode()]))
        made.append(("base64url.decode", [base64.urlsafe_b64encode(octets).decode().rstrip("=")]))
        made.append(("hex.decode", [octets.hex()]))
    urls = ["".join(parts) for parts in product(SCHEMES, AUTHORITIES, PATHS, ENDS)]
    made += [(name, [url]) for url in random.sample(urls, 800) for name in ("uri.parse", "uri.is_valid")]
    return made


def test_encodings_mean_what_they_mean_in_opa(tmp_path: Path) -> None:
    hold_against_opa(calls(), tmp_path)


@pytest.mark.parametrize(("name", "args", "answer"), MEANINGS)
def test_what_encodings_mean(name: str, args: list[Any], answer: Any) -> None:
    assert BUILTINS[name](*args) == answer


def test_bytes_that_are_no_text_are_kept() -> None:
    decoded = BUILTINS["hex.decode"]("e282ff00")
    assert BUILTINS["hex.encode"](decoded) == "e282ff00"
    assert BUILTINS["base64.encode"](decoded) == "4oL/AA=="
    assert decoded != BUILTINS["hex.decode"]("e282fe00")
    assert BUILTINS["json.marshal"](decoded) == '"\\ufffd\\ufffd\\ufffd\\u0000"'
