"""The state machine of addresses says what the standard library says."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from telemetry import Texts
from telemetry.addresses import are_addresses

addresses = st.ip_addresses().map(str) | st.ip_addresses(v=6).map(lambda address: address.exploded)
parts = st.sampled_from(
    ["", "0", "00", "1", "9", "10", "19", "25", "99", "199", "249", "250", "255", "256", "300", "1000"]
)
groups = st.sampled_from(["", "0", "f", "A1", "abc", "ffff", "10000", "g", "1.2.3.4", "%1", "fe80%eth0"])
quads = st.lists(parts, min_size=3, max_size=5).map(".".join)
colons = st.lists(groups, max_size=10).map(":".join)
letters = st.text("0123456789abcdefABCDEF.:%/ g\0é٣", max_size=45)


def says_python(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@given(st.lists(addresses | quads | colons | letters | st.text(max_size=50)))
def test_any_texts(texts: list[str]) -> None:
    """Each text of a table is an address if and only if `ipaddress` takes it."""
    assert are_addresses(Texts.of(texts)).tolist() == [says_python(text) for text in texts]


@given(addresses, st.integers(0, 40), st.sampled_from("0123456789af.:%x"))
def test_an_address_with_a_letter_changed(text: str, at: int, letter: str) -> None:
    changed = [text[:at] + letter + text[at:], text[:at] + letter + text[at + 1 :], text[:at] + text[at + 1 :]]
    assert are_addresses(Texts.of(changed)).tolist() == [says_python(one) for one in changed]


def test_every_number_as_an_octet() -> None:
    texts = [text.replace("N", str(n)) for n in range(1100) for text in ("N.1.1.1", "1.N.1.1", "1.1.1.N", "0N.1.1.1")]
    assert are_addresses(Texts.of(texts)).tolist() == [says_python(text) for text in texts]
