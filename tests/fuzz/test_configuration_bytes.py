"""Any bytes and any environment become a Config or a ConfigurationError, never another exception."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration import ConfigurationError, effective, parse

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["edge", "port", "routes", "prefix", "services", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)
_VARIABLES = st.dictionaries(
    st.sampled_from(["EDGE", "EDGE__PORT", "ROUTES", "ROUTES__0__PREFIX", "SERVICES__A__PORT", "LINES__NFTABLES", "_"]),
    st.text(max_size=20) | st.sampled_from(["{}", "[]", "null", "[" * 50, '{"a": 1}']),
    max_size=3,
)


def _load(data: bytes, environ: dict[str, str]) -> None:
    with contextlib.suppress(ConfigurationError):
        effective(parse(data, "fuzz", {f"PORTCULLIS__{name}": value for name, value in environ.items()}))


@given(st.binary(max_size=400), _VARIABLES)
def test_any_bytes(data: bytes, environ: dict[str, str]) -> None:
    _load(data, environ)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#? \n\t0.1", max_size=200), _VARIABLES)
def test_text_near_yaml(text: str, environ: dict[str, str]) -> None:
    _load(text.encode(), environ)


@given(_TREES, _VARIABLES)
def test_trees_near_a_configuration(tree: object, environ: dict[str, str]) -> None:
    _load(json.dumps(tree).encode(), environ)
