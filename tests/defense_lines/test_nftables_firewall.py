"""The firewall against the real kernel, in network namespaces of its own."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest

from defense_lines.agent import Firewall, NftError, Order, conntrack
from defense_lines.agent.actuation import since_boot
from defense_lines.agent.libnftables import Nftables
from tests.defense_lines.nftables_rig import Namespace, connect, namespaces

BLOCK = "b-00000000000000{:02x}"
PATIENCE = 5.0  # seconds
LATE = 0.2  # seconds after its end that an order may stand; a busy machine looks seldom
SILENCE = 0.4  # seconds without a byte that count as blocked


@pytest.fixture
def host() -> Iterator[Namespace]:
    with namespaces(1) as (only,):
        yield only


@pytest.fixture
def pair() -> Iterator[tuple[Namespace, Namespace]]:
    with namespaces(2) as (server, client):
        client_addresses = ["198.51.100.7/24", "198.51.100.8/24", "2001:db8::7/64"]
        connect(server, client, ["198.51.100.1/24", "2001:db8::1/64"], client_addresses)
        yield server, client


def firewall(table: str = "portcullis_test") -> Firewall:
    made = Firewall(table)
    made.ensure(since_boot())
    return made


def active(wall: Firewall) -> list[str]:
    """Ids that the kernel enforces."""
    return [found.id for found in wall.active(since_boot())]


def order(number: int, network: str, seconds: float = 60) -> Order:
    return Order.parse(BLOCK.format(number), network, since_boot() + seconds)


def nft(commands: str) -> None:
    """As the administrator's `nft` would: libnftables reads its own language too."""
    wall = Nftables()
    wall._library.nft_run_cmd_from_buffer(wall._context, commands.encode())
    wall.close()


def test_applies_reads_back_and_revokes(host: Namespace) -> None:
    def story() -> None:
        wall = firewall()
        now = since_boot()
        results = wall.apply([order(1, "198.51.100.7"), order(2, "2001:db8::/32"), order(3, "10.0.0.0/8")], now)
        assert [result.outcome for result in results] == ["enforced"] * 3
        assert sorted(active(wall)) == [BLOCK.format(number) for number in (1, 2, 3)]
        assert [result.outcome for result in wall.revoke([BLOCK.format(2), "b-unknown"], now)] == ["lifted", "lifted"]
        assert sorted(active(wall)) == [BLOCK.format(number) for number in (1, 3)]
        wall.close()

    host.run(story)


def test_a_new_agent_finds_what_stands(host: Namespace) -> None:
    def story() -> None:
        first, orders = firewall(), [order(1, "198.51.100.7"), order(2, "198.51.100.0/24")]
        first.apply(orders, since_boot())
        first.close()
        second = firewall()
        found = sorted(second.orders(), key=lambda each: each.id)
        assert [(each.id, each.network) for each in found] == [(each.id, each.network) for each in orders]
        assert [each.expires for each in found] == pytest.approx([each.expires for each in orders], abs=0.5)
        assert len(active(second)) == 2
        second.close()

    host.run(story)


def test_expired_orders_are_not_applied(host: Namespace) -> None:
    def story() -> None:
        wall = firewall()
        results = wall.apply([order(1, "198.51.100.7", -1), order(2, "198.51.100.8")], since_boot())
        assert [result.outcome for result in results] == ["expired", "enforced"]
        assert active(wall) == [BLOCK.format(2)]
        wall.close()

    host.run(story)


def test_the_kernel_ends_an_order_by_itself(host: Namespace) -> None:
    def story() -> None:
        wall = firewall()
        wall.apply([order(1, "198.51.100.7", 0.5), order(2, "198.51.100.7", 60)], since_boot())
        wall.apply([order(3, "198.51.100.8", 0.5)], since_boot())
        wall.close()
        deadline = time.monotonic() + PATIENCE
        while len(standing_elements()) > 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert standing_elements() == ["198.51.100.7"]  # the longer order on the same address keeps it

    host.run(story)


@pytest.mark.parametrize("seconds", [0.3, 1.05])
def test_an_order_ends_in_the_kernel_when_it_says_and_never_early(host: Namespace, seconds: float) -> None:
    def story() -> None:
        wall = firewall()
        found = order(1, "198.51.100.7", seconds)
        wall.apply([found], since_boot())
        last_seen = seen = since_boot()
        while standing_elements():
            last_seen, seen = seen, since_boot()
        wall.close()
        assert since_boot() >= found.expires  # the listing that did not find it was made before this
        assert last_seen < found.expires + LATE

    host.run(story)


def test_the_longest_order_fits_the_kernel(host: Namespace) -> None:
    def story() -> None:
        wall, end = firewall(), 9e10
        found = Order.parse("1234567890/" + "x" * 36, "2001:db8:1111:2222:3333:4444:5555:6666", end)
        assert wall.apply([found], since_boot())[0].outcome == "enforced"
        assert active(wall) == [found.id]
        wall.close()

    host.run(story)


def standing_elements() -> list[str]:
    wall = Nftables()
    listed = wall.run(["list set inet portcullis_test ipv4_32"])
    wall.close()
    elements = next(answer["set"] for answer in listed if "set" in answer).get("elem", [])
    return [element["elem"]["val"] for element in elements]


def test_every_prefix_length_is_enforced(host: Namespace) -> None:
    def story() -> None:
        wall = firewall()
        networks = [f"0.0.0.0/{length}" for length in range(33)] + [f"::/{length}" for length in range(129)]
        end = since_boot() + 60
        orders = [Order.parse(f"length-{number}", network, end) for number, network in enumerate(networks)]
        assert all(result.outcome == "enforced" for result in wall.apply(orders, since_boot()))
        assert len(active(wall)) == len(networks)
        wall.close()

    host.run(story)


@pytest.mark.parametrize(
    "damage",
    [
        "flush ruleset",
        "flush chain inet portcullis_test ingress",
        "insert rule inet portcullis_test ingress accept",
        "flush set inet portcullis_test ipv4_32",
        "flush set inet portcullis_test orders",
        "delete chain inet portcullis_test ingress",
    ],
)
def test_damage_is_seen_and_the_next_order_repairs_it(host: Namespace, damage: str) -> None:
    def story() -> None:
        wall, orders = firewall(), [order(1, "198.51.100.7"), order(2, "198.51.100.8")]
        wall.apply(orders, since_boot())
        nft(damage)
        assert active(wall) == []
        assert wall.apply([order(3, "198.51.100.9")], since_boot())[0].outcome == "enforced"
        assert BLOCK.format(3) in active(wall)
        assert all(result.outcome == "enforced" for result in wall.apply(orders, since_boot()))
        assert len(active(wall)) == 3
        wall.close()

    host.run(story)


def test_a_failed_transaction_changes_nothing(host: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def story() -> None:
        wall = firewall()
        wall.apply([order(1, "198.51.100.7")], since_boot())

        def refuse(_: object) -> None:
            raise NftError("no")

        with monkeypatch.context() as patched:
            patched.setattr(Nftables, "run", lambda _self, commands: refuse(commands))
            assert wall.apply([order(2, "198.51.100.8")], since_boot())[0].outcome == "failed"
            assert wall.revoke([BLOCK.format(1)], since_boot())[0].outcome == "failed"
        assert [found.id for found in wall.orders()] == [BLOCK.format(1)]
        assert active(wall) == [BLOCK.format(1)]
        wall.close()

    host.run(story)


def test_a_table_of_another_shape_is_an_error_not_a_guess(host: Namespace) -> None:
    def story() -> None:
        nft("add table inet portcullis_test; add set inet portcullis_test orders { type ipv4_addr; }")
        with pytest.raises(NftError):
            firewall()

    host.run(story)


@pytest.mark.parametrize("network", ["198.51.100.7", "198.51.100.0/29", "2001:db8::7", "2001:db8::/125"])
def test_packets_stop_also_of_an_established_flow(pair: tuple[Namespace, Namespace], network: str) -> None:
    server, client = pair
    six = ":" in network
    here, there = ("2001:db8::1", "2001:db8::7") if six else ("198.51.100.1", "198.51.100.7")
    listener, conversation = talk(server, client, here, there)
    wall = server.run(firewall)
    # As hosts do: an accept for what is established, in front of everything else that filters.
    server.run(nft, "add table inet h; add chain inet h i { type filter hook input priority -300; }")
    server.run(nft, "add rule inet h i ct state established accept")
    assert server.run(wall.apply, [order(1, network)], since_boot())[0].outcome == "enforced"
    left, right = conversation
    right.send(b"blocked")
    assert not readable(left, SILENCE)
    assert client.run(refused, here, listener.getsockname()[1], there)
    assert server.run(wall.revoke, [BLOCK.format(1)], since_boot())[0].outcome == "lifted"
    assert readable(left, PATIENCE)
    assert left.recv(100) == b"blocked"
    for end in (left, right, listener):
        end.close()
    server.run(wall.close)


def test_of_two_overlapping_orders_the_other_stands(pair: tuple[Namespace, Namespace]) -> None:
    server, client = pair
    listener, (left, right) = talk(server, client, "198.51.100.1", "198.51.100.7")
    wall = server.run(firewall)
    networks = ["198.51.100.7", "198.51.100.0/29", "198.51.100.0/28", "198.51.100.7"]
    server.run(wall.apply, [order(number, network) for number, network in enumerate(networks)], since_boot())
    right.send(b"blocked")
    for number in range(4):
        assert not readable(left, SILENCE / 2)
        server.run(wall.revoke, [BLOCK.format(number)], since_boot())
    assert readable(left, PATIENCE)
    for end in (left, right, listener):
        end.close()
    server.run(wall.close)


def test_tracked_connections_of_blocked_sources_are_forgotten(pair: tuple[Namespace, Namespace]) -> None:
    server, client = pair
    server.run(nft, "add table inet h; add chain inet h i { type filter hook input priority 0; }")
    server.run(nft, "add rule inet h i ct state new accept")
    ends = []
    for source in ("198.51.100.7", "198.51.100.8", "2001:db8::7"):
        here = "2001:db8::1" if ":" in source else "198.51.100.1"
        listener, conversation = talk(server, client, here, source)
        ends += [listener, *conversation]
    networks = [order(1, network).network for network in ("198.51.100.7", "2001:db8::/64")]
    try:
        assert server.run(conntrack.forget, networks) == 2
        assert server.run(conntrack.forget, networks) == 0
        assert server.run(conntrack.forget, [order(1, "198.51.100.0/24").network]) == 1
    except OSError as error:
        pytest.skip(f"needs ctnetlink ({error})")
    finally:
        for end in ends:
            end.close()


def talk(
    server: Namespace, client: Namespace, here: str, there: str
) -> tuple[socket.socket, tuple[socket.socket, socket.socket]]:
    """An established TCP conversation; the listener, the server's end and the client's."""
    family = socket.AF_INET6 if ":" in here else socket.AF_INET
    listener = server.run(socket.socket, family)
    listener.bind((here, 0))
    listener.listen()
    right = client.run(socket.socket, family)
    right.bind((there, 0))
    right.settimeout(PATIENCE)
    right.connect(listener.getsockname()[:2])
    left, _ = listener.accept()
    right.send(b"hello")
    assert left.recv(100) == b"hello"
    return listener, (left, right)


def readable(end: socket.socket, seconds: float) -> bool:
    return bool(select.select([end], [], [], seconds)[0])


def refused(here: str, port: int, there: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in here else socket.AF_INET) as another:
        another.bind((there, 0))
        another.settimeout(SILENCE)
        try:
            another.connect((here, port))
        except TimeoutError:
            return True
    return False
