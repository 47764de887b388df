"""The order book against a model that knows nothing of networks: a set of addresses, one order after another."""

from __future__ import annotations

import ipaddress
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from defense_lines.agent import Firewall, InvalidOrder, Order, prefix
from defense_lines.agent.elements import elements
from defense_lines.agent.libnftables import Nftables
from defense_lines.agent.orders import Network, OrderBook
from defense_lines.agent.ruleset import LENGTHS
from policy import BlockPolicy, Cause, Target
from tests.defense_lines.nftables_rig import namespaces

# A world of 16 addresses, so that orders meet: 198.51.100.0/28 and every network in it.
WORLD = ipaddress.ip_network("198.51.100.0/28")
NETWORKS = [network for length in range(28, 33) for network in WORLD.subnets(new_prefix=length)]
EPOCH = 1_000_000.0

actions = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), st.integers(0, 9), st.sampled_from(NETWORKS), st.integers(1, 50)),
        st.tuples(st.just("revoke"), st.integers(0, 9), st.none(), st.none()),
        st.tuples(st.just("wait"), st.integers(1, 20), st.none(), st.none()),
    ),
    max_size=25,
)


def addresses(networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> set[str]:
    return {str(address) for network in networks for address in network}


@given(actions)
def test_enforced_addresses_are_the_union_of_live_orders(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    book, model, now = OrderBook(), dict[str, Order](), EPOCH
    for verb, number, network, seconds in steps:
        if verb == "apply":
            order = Order(f"b-{number}", network, now + seconds)
            book.put(order)
            model[order.id] = order
        elif verb == "revoke":
            book.remove(f"b-{number}")
            model.pop(f"b-{number}", None)
        else:
            now += number
            book.expire(now)
            model = {key: order for key, order in model.items() if order.expires > now}
        assert {order.id: order for order in book} == model
        assert addresses(list(book.networks())) == addresses([order.network for order in model.values()])
        for named in book.networks():
            last = book.last(named)
            assert last is not None
            assert last.expires == max(order.expires for order in model.values() if order.network == named)


def dropped(table: str) -> list[Network]:
    """Every network in the table's sets."""
    reader = Nftables(terse=True)
    listed = reader.run(["list ruleset"])
    reader.close()
    names = {answer["set"]["name"] for answer in listed if "set" in answer} & LENGTHS.keys()
    return [prefix.network(each.key + bytes((LENGTHS[name][1],))) for name in names for each in elements(table, name)]


def reread(table: str, now: float) -> list[Order]:
    """The order book of another process that takes over."""
    wall = Firewall(table)
    wall.ensure(now)
    held = wall.orders()
    wall.close()
    return held


def test_the_kernel_drops_the_union_of_live_orders() -> None:
    """The same property with the real kernel as the book; it expires by its own clock, so nobody waits here."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(actions)
    def story(steps: list[tuple]) -> None:  # type: ignore[type-arg]
        wall, model, now = Firewall("portcullis_model"), dict[str, Order](), time.time()
        wall.ensure(now)
        for verb, number, network, seconds in steps:
            if verb == "apply":
                order = Order(f"b-{number}", network, now + 100 + seconds)
                assert wall.apply([order], now)[0].outcome == "enforced"
                model[order.id] = order
            elif verb == "revoke":
                assert wall.revoke([f"b-{number}"], now)[0].outcome == "lifted"
                model.pop(f"b-{number}", None)
        assert addresses(dropped("portcullis_model")) == addresses([order.network for order in model.values()])
        for held in (wall.active(now), reread("portcullis_model", now)):
            assert {order.id: order.network for order in held} == {key: order.network for key, order in model.items()}
            assert all(order.expires == pytest.approx(model[order.id].expires, abs=5) for order in held)
        wall.remove()
        wall.close()

    with namespaces(1) as (host,):
        host.run(story)


@given(st.text(), st.text(), st.floats())
def test_what_cannot_be_an_order_is_refused_in_words(identity: str, network: str, expires: float) -> None:
    try:
        order = Order.parse(identity, network, expires)
    except InvalidOrder:
        return
    assert (order.id, order.expires) == (identity, expires)
    assert len(f"{order.id} {order.network}") < 128  # fits the kernel's comment


@pytest.mark.parametrize("zone", ["eth0", "}; flush ruleset; #", "a\nflush ruleset\n#"])
def test_an_address_with_a_zone_is_no_order(zone: str) -> None:
    with pytest.raises(InvalidOrder, match="zone"):
        Order.parse("b-1", f"fe80::1%{zone}", EPOCH)
    with pytest.raises(InvalidOrder, match="zone"):
        Order("b-1", ipaddress.ip_network(f"fe80::1%{zone}/128"), EPOCH)


def test_a_block_on_a_principal_is_no_order() -> None:
    block = BlockPolicy(
        id="b-0000000000000001",
        target=Target.of("principal", "person:alice"),
        created=1.0,
        expires=2.0,
        cause=Cause(reason="test", by="analyst:jo"),
    )
    with pytest.raises(InvalidOrder, match="principal"):
        Order.of(block)
