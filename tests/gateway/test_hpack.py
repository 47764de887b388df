"""Header blocks of a gRPC client: the method is found however a peer's table writes it; nonsense is a violation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.enforcement.hpack import Blocks
from gateway.enforcement.http2_frames import Violation
from gateway.enforcement.huffman import decoded

METHOD = "/envoy.service.auth.v3.Authorization/Check"


def literal(name: bytes, value: bytes, kept: bool = False) -> bytes:
    """A field, new in name and value, whose lengths have one octet."""
    return (b"\x40" if kept else b"\0") + bytes([len(name)]) + name + bytes([len(value)]) + value


@pytest.mark.parametrize(
    ("packed", "text"),  # RFC 7541 appendix C.4 and C.6
    [
        ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
        ("a8eb10649cbf", "no-cache"),
        ("25a849e95ba97d7f", "custom-key"),
        ("25a849e95bb8e8b4bf", "custom-value"),
        ("aec3771a4b", "private"),
        ("d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"),
        ("640eff", "307"),
    ],
)
def test_strings_of_the_standards_examples(packed: str, text: str) -> None:
    assert decoded(bytes.fromhex(packed)) == text.encode()


@pytest.mark.parametrize("packed", ["ffffffff", "00", "25a849e95ba97d7fff", "ff" * 5, "64"])
def test_what_is_no_code_or_badly_padded_is_a_violation(packed: str) -> None:
    with pytest.raises(Violation):
        decoded(bytes.fromhex(packed))


def test_a_field_is_named_by_number_once_it_was_kept() -> None:
    blocks = Blocks()
    assert blocks.path(b"\x83\x86" + literal(b":path", METHOD.encode(), kept=True)) == METHOD
    assert blocks.path(b"\x83\x86\xbe") == METHOD
    assert blocks.path(b"\x44" + bytes([2]) + b"/x") == "/x"  # the name by number, the newest entry now
    assert (blocks.path(b"\xbe"), blocks.path(b"\xbf")) == ("/x", METHOD)
    assert blocks.path(b"\x20") == ""  # a table of no size
    with pytest.raises(Violation):
        blocks.path(b"\xbe")


def test_the_table_is_as_large_as_the_standard_says() -> None:
    blocks = Blocks()
    for _ in range(40):  # 4096 bytes hold 31 entries of 132
        blocks.path(literal(b"n" * 10, b"v" * 90, kept=True))
    assert blocks.path(bytes([0x80 | 62 + 30])) == ""
    with pytest.raises(Violation):
        blocks.path(bytes([0x80 | 62 + 31]))
    large = b"\x40\x01n\x7f" + bytes([0x80 | 4097 - 0x7F & 0x7F, 4097 - 0x7F >> 7]) + b"v" * 4097
    blocks.path(large)  # larger than the table: it is empty
    with pytest.raises(Violation):
        blocks.path(b"\xbe")


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\xff\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\x40\x05:pa",
        b"\x40",
        b"\x3f\xe2\x1f",  # a table of 4097 bytes
        b"\x40\x01a\xff\xff\xff\xff\x7f",
        literal(b":path", b"/a") + b"\x7f",
    ],
)
def test_nonsense_is_a_violation(block: bytes) -> None:
    with pytest.raises(Violation):
        Blocks().path(block)


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_blocks_are_read_or_a_violation(blocks: list[bytes]) -> None:
    """Invariant: nothing but a Violation is ever raised."""
    read = Blocks()
    try:
        for block in blocks:
            read.path(block)
    except Violation:
        pass
