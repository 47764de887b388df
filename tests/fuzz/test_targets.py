"""Hostile request targets: what is judged is one path, spelled in one way, or none."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.enforcement.target import split

characters = st.sampled_from([*"/.%;\\?#abcxyzAZ059~-_=&@:+ \t\r\n\0\x7f\x80\xff", "%2", "%25", "%2f", "%2e", "%c3%a9"])
near = st.lists(characters, max_size=24).map("".join)


@given(st.text() | near | st.binary().map(lambda data: data.decode("latin-1")) | near.map(lambda rest: f"/{rest}"))
@example("/a%2e%2e/b")
@example("/a/%252e%252e/b")
@example("/%25%32%66")
@example("/a?/../b")
@example("/a/..")
@example("/..;/a")
@example("/a#/../b")
@example("/\ud800")
def test_any_target(target: str) -> None:
    """None, or a path that begins with one slash and has no dot segment, no empty segment, no backslash, no path
    parameter and no control character once decoded, as a server decodes it; the query as it came.
    """
    found = split(target)
    if found is None:
        return
    path, query = found
    assert target.partition("?")[2] == query
    assert unquote_to_bytes(target.partition("?")[0]).decode() == path
    assert path.startswith("/")
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))
    assert not set(path) & {"\\", ";", *map(chr, range(32)), "\x7f"}
