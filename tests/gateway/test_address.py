"""Whose address counts, of all that proxies and callers say: a table, and a model of honest proxies and a liar."""

from __future__ import annotations

import ipaddress
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from gateway.config import Edge
from gateway.enforcement.address import DIRECT, Proxies
from tests.gateway.test_configuration import BANK, problems

RANGES = ("10.0.0.0/8", "2001:db8:ffff::/48")
PROXIES = Proxies(RANGES)


@pytest.mark.parametrize("proxies", [DIRECT, PROXIES], ids=["none trusted", "some trusted"])
def test_a_stranger_who_opens_the_connection_is_the_caller_whatever_it_says(proxies: Proxies) -> None:
    assert proxies.caller("10.0.0.1, 192.0.2.66,198.51.100.7") == "198.51.100.7"


@pytest.mark.parametrize(
    ("forwarded", "caller"),
    [
        ("198.51.100.7,10.0.0.1", "198.51.100.7"),
        ("192.0.2.66, 198.51.100.7, 10.0.0.2,10.0.0.1", "198.51.100.7"),
        ("198.51.100.7\t,10.0.0.1", "198.51.100.7"),
        ("198.51.100.7:51234,10.0.0.1", "198.51.100.7"),
        ("[2001:db8::7]:51234,10.0.0.1", "2001:db8::7"),
        ("[2001:db8::7],10.0.0.1", "2001:db8::7"),
        ("2001:DB8:0:0::7,2001:db8:ffff::1", "2001:db8::7"),
        ("::ffff:198.51.100.7,10.0.0.1", "198.51.100.7"),
        ("[::ffff:c633:6407]:1,10.0.0.1", "198.51.100.7"),
        ("198.51.100.7,::ffff:10.0.0.1", "198.51.100.7"),
        ("198.51.100.7,[::ffff:10.0.0.2]:80,10.0.0.1", "198.51.100.7"),
    ],
)
def test_behind_trusted_proxies_it_is_the_rightmost_that_is_none_of_them(forwarded: str, caller: str) -> None:
    assert PROXIES.caller(forwarded) == caller


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        "unknown",
        "_hidden",
        "bank.example",
        "198.51.100.7.",
        "198.51.100",
        "198.051.100.007",
        "0xc6336407",
        "3325256711",
        "198.51.100.7/32",
        "198.51.100.7:",
        "198.51.100.7:http",
        "198.51.100.7:４４３",
        "198.51.100:7",
        "198.51.100.7:123456",
        "198.51.100.7 192.0.2.66",
        '"198.51.100.7"',
        "for=198.51.100.7",
        "[198.51.100.7",
        "[2001:db8::7]443",
        "2001:db8::7::1",
        "fe80::1%eth0",
        "[fe80::1%25eth0]:80",
        "::ffff:198.51.100.7%1",
        "１９８.51.100.7",
        "\xa0198.51.100.7",
        "0" * 60_000,
    ],
)
def test_what_cannot_be_read_ends_at_the_proxy_that_sent_it(entry: str) -> None:
    assert PROXIES.caller(f"192.0.2.66,{entry},10.0.0.2,10.0.0.1") == "10.0.0.2"
    assert PROXIES.caller(f"{entry},10.0.0.1") == "10.0.0.1"


def test_a_proxy_that_says_nothing_is_the_caller() -> None:
    assert PROXIES.caller("10.0.0.1") == PROXIES.caller(",10.0.0.1") == "10.0.0.1"
    assert PROXIES.caller("") == DIRECT.caller("") == ""


def test_more_proxies_in_a_row_than_anybody_has_are_not_followed() -> None:
    chain = ",".join(f"10.0.0.{n}" for n in range(200, 0, -1))
    assert PROXIES.caller(f"198.51.100.7,{chain}") == "10.0.0.16"
    assert PROXIES.caller(f"198.51.100.7{',10.0.0.1' * 15}") == "198.51.100.7"


def test_a_header_of_many_entries_costs_no_more_than_its_right_end() -> None:
    assert PROXIES.caller("10.0.0.1," * 1_000_000 + "198.51.100.7,10.0.0.1") == "198.51.100.7"


def test_long_entries_are_not_remembered() -> None:
    PROXIES.caller("unknown,10.0.0.1")
    tracemalloc.start()
    for number in range(500):
        assert PROXIES.caller(f"{number:060000},10.0.0.1") == "10.0.0.1"
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000_000


def test_what_cannot_be_read_is_counted() -> None:
    name = "portcullis_gateway_forwarded_unread_total"
    before = REGISTRY.get_sample_value(name) or 0.0
    PROXIES.caller("198.51.100.7,10.0.0.1")
    PROXIES.caller("unknown,10.0.0.1")
    assert REGISTRY.get_sample_value(name) == before + 1


def test_upstream_and_log_are_told_only_what_envoy_does_not_know() -> None:
    assert DIRECT.told("198.51.100.7") == ""
    assert PROXIES.told("198.51.100.7") == Proxies(relayed=True).told("198.51.100.7") == "198.51.100.7"


def test_an_address_of_a_proxy_header_is_canonical_as_blocks_are() -> None:
    relayed = Proxies(relayed=True)
    assert relayed.caller("::ffff:198.51.100.7") == "198.51.100.7"
    assert relayed.caller("198.51.100.66,2001:DB8:0::7") == "2001:db8::7"


addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)
networks = st.builds(
    lambda address, length: ipaddress.ip_network((address, length * address.max_prefixlen // 32), strict=False),
    addresses,
    st.integers(4, 32),
)
lies = st.lists(
    st.one_of(
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=12),
        addresses.map(str),
        st.sampled_from(["", "unknown", "10.0.0.1", "[::1]:80", "fe80::1%1", "::ffff:10.0.0.1"]),
    ),
    max_size=20,
).map(",".join)


def inside(network: ipaddress.IPv4Network | ipaddress.IPv6Network, offset: int) -> str:
    return str(network[offset % network.num_addresses])


def plain(text: str) -> str:
    address = ipaddress.ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)


@given(
    st.lists(networks, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0)), max_size=15),
    addresses,
    lies,
    st.sampled_from([",", ", ", " ,\t"]),
    st.sampled_from(["{}", "{}:443", "[{}]", "[{}]:65535"]),
)
def test_a_hostile_caller_behind_honest_proxies_is_always_known_by_its_own_address(
    trusted: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    hops: list[tuple[int, int]],
    caller: ipaddress.IPv4Address | ipaddress.IPv6Address,
    lie: str,
    comma: str,
    form: str,
) -> None:
    proxies = Proxies(map(str, trusted))
    chain = [inside(trusted[which % len(trusted)], offset) for which, offset in hops]
    real = plain(str(caller))
    if any(ipaddress.ip_address(real) in network for network in trusted):
        return
    chain = [hop for hop in chain if any(ipaddress.ip_address(plain(hop)) in network for network in trusted)]
    header = lie
    for number, peer in enumerate([str(caller), *chain]):
        # The direct peer is Envoy's to write; proxies write ports and brackets as they like, IPv6 ports only in these.
        written = form.format(peer) if number < len(chain) and ("[" in form or ":" not in peer) else peer
        header = f"{header}{comma}{written}" if header else written
    assert proxies.caller(header) == real


@given(st.lists(networks, max_size=4), lies, addresses)
def test_the_answer_is_the_peer_or_somebody_whom_a_trusted_proxy_named(
    trusted: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    claimed: str,
    peer: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    answer = Proxies(map(str, trusted)).caller(f"{claimed},{peer}")
    vouches = any(ipaddress.ip_address(plain(str(peer))) in network for network in trusted)
    assert answer in {str(peer), plain(str(peer))} or vouches
    assert str(ipaddress.ip_address(answer)) == answer


@pytest.mark.parametrize(
    ("edge", "problem"),
    [
        ("trusted_proxies: [10.0.0.1/8]", "edge.trusted_proxies.0: "),
        ("trusted_proxies: [10.0.0.0/8, proxy.bank.example]", "edge.trusted_proxies.1: "),
        ("trusted_proxies: [0.0.0.0/0]", "edge.trusted_proxies.0: is everybody"),
        ("trusted_proxies: ['::/0']", "edge.trusted_proxies.0: is everybody"),
        ("trusted_proxies: ['::ffff:10.0.0.0/104']", "edge.trusted_proxies.0: must be written as IPv4"),
        ("trusted_proxies: [10]", "edge.trusted_proxies.0: "),
        ("proxy_protocol_from: [0.0.0.0/0]", "edge.proxy_protocol_from.0: is everybody"),
        (
            "trusted_proxies: [10.0.0.0/8], proxy_protocol_from: [192.0.2.1, 10.9.0.0/16]",
            "edge: 10.9.0.0/16 and 10.0.0.0/8 overlap",
        ),
    ],
)
def test_ranges_that_cannot_be_meant_are_refused(edge: str, problem: str) -> None:
    (told,) = problems(f"{BANK}edge: {{{edge}}}\n")
    assert problem in told


def test_an_address_alone_is_a_range_of_one() -> None:
    assert Edge(trusted_proxies=("10.0.0.1", "2001:DB8::1")).trusted_proxies == ("10.0.0.1/32", "2001:db8::1/128")
