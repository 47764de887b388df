"""The discovery state machine: a protocol trace for each rule, and any order of events at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.edge import Snapshot
from gateway.edge.discovery import Discovery, Push, Request
from gateway.edge.snapshot import CLUSTER, LISTENER, ORDER, ROUTES, SECRET, version_of

NAMED = (SECRET, ROUTES)  # subscribed to by name


def snapshot(mark: bytes, *clusters: str) -> Snapshot:
    return Snapshot(
        {
            CLUSTER: dict.fromkeys(clusters or ("a",), mark),
            LISTENER: {"edge": mark},
            SECRET: {"edge": mark},
            ROUTES: {"edge": mark},
        }
    )


def ack(push: Push, error: str = "") -> Request:
    names = frozenset({"edge"}) if push.type_url in NAMED else frozenset[str]()
    return Request(push.type_url, push.version, push.nonce, names, error)


def subscribe(type_url: str, version: str = "") -> Request:
    return Request(type_url, version, names=frozenset({"edge"}) if type_url in NAMED else frozenset())


def settle(discovery: Discovery, pushes: list[Push]) -> list[str]:
    """Accept everything until nothing is sent any more; the types in the order that they came."""
    order = []
    while pushes:
        push = pushes.pop(0)
        order.append(push.type_url)
        pushes += discovery.received(push.stream, ack(push))
    return order


def connected(discovery: Discovery, stream: int = 1) -> None:
    discovery.opened(stream)
    for type_url in ORDER:
        settle(discovery, discovery.received(stream, subscribe(type_url)))


def test_nothing_is_sent_before_something_is_published() -> None:
    discovery = Discovery()
    discovery.opened(1)
    assert discovery.received(1, subscribe(CLUSTER)) == []
    (push,) = discovery.publish(snapshot(b"1"))
    assert (push.type_url, push.resources, push.version) == (CLUSTER, {"a": b"1"}, version_of({"a": b"1"}))


def test_an_edge_holds_the_snapshot_once_every_type_is_accepted() -> None:
    discovery, first = Discovery(), snapshot(b"1")
    discovery.publish(first)
    discovery.opened(1)
    for type_url in ORDER:
        assert not discovery.applied(first.version)
        settle(discovery, discovery.received(1, subscribe(type_url)))
    assert discovery.applied(first.version)
    assert discovery.state().accepted == first.version


def test_a_change_is_pushed_in_order_each_after_the_one_before_was_accepted() -> None:
    discovery = Discovery()
    discovery.publish(snapshot(b"1"))
    connected(discovery)
    pushes = discovery.publish(snapshot(b"2"))
    assert len(pushes) == 1
    assert settle(discovery, pushes) == list(ORDER)


def test_a_cluster_that_leaves_stays_until_the_routes_have_changed() -> None:
    discovery = Discovery()
    discovery.publish(snapshot(b"1", "a", "b"))
    connected(discovery)
    pushes = discovery.publish(Snapshot({**snapshot(b"2").types, CLUSTER: {"c": b"2"}}))
    assert set(pushes[0].resources) == {"a", "b", "c"}
    assert settle(discovery, pushes) == [CLUSTER, LISTENER, SECRET, ROUTES, CLUSTER]
    assert discovery.applied(discovery.state().desired)


def test_a_stale_nonce_and_a_foreign_type_change_nothing() -> None:
    discovery = Discovery()
    discovery.publish(snapshot(b"1"))
    discovery.opened(1)
    (push,) = discovery.received(1, subscribe(CLUSTER))
    assert discovery.received(1, Request(CLUSTER, nonce="stale", error="no")) == []
    assert discovery.received(1, Request("type.googleapis.com/unknown")) == []
    assert discovery.received(2, subscribe(CLUSTER)) == []
    assert discovery.state().rejections == 0
    discovery.received(1, ack(push))
    assert discovery.received(1, ack(push, error="a late change of mind")) == []
    assert discovery.state().rejections == 0


def test_a_refusal_brings_every_edge_back_to_the_last_good_snapshot() -> None:
    discovery, good = Discovery(), snapshot(b"1")
    discovery.publish(good)
    connected(discovery, 1)
    connected(discovery, 2)
    first, second = discovery.publish(snapshot(b"2"))
    (half_way,) = discovery.received(2, ack(second))  # the other edge has the new cluster, and the listener comes
    settle(discovery, discovery.received(1, ack(first, error="bad cluster")))
    assert not discovery.applied(good.version)
    settle(discovery, discovery.received(2, ack(half_way)))
    state = discovery.state()
    assert (state.desired, state.accepted, state.rejections) == (good.version, good.version, 1)
    assert state.last_error == "envoy.config.cluster.v3.Cluster: bad cluster"
    assert discovery.applied(good.version)


def test_refused_content_is_not_sent_again_until_it_is_published_again() -> None:
    discovery, bad = Discovery(), snapshot(b"bad")
    discovery.publish(bad)
    discovery.opened(1)
    (push,) = discovery.received(1, subscribe(CLUSTER))
    assert discovery.received(1, ack(push, error="no")) == []
    assert discovery.state().last_error
    (again,) = discovery.publish(bad)
    assert again.nonce != push.nonce
    assert discovery.state().last_error == ""


def test_refusing_an_overtaken_push_does_not_refuse_the_present_one() -> None:
    discovery = Discovery()
    discovery.publish(snapshot(b"1"))
    connected(discovery)
    (overtaken,) = discovery.publish(snapshot(b"2"))
    newest = snapshot(b"3")
    (secret,) = discovery.publish(newest)
    assert secret.type_url == SECRET
    settle(discovery, [secret, *discovery.received(1, ack(overtaken, error="no"))])
    assert discovery.applied(newest.version)
    assert discovery.state().last_error == ""


def test_secrets_do_not_wait_for_clusters_that_may_wait_for_them() -> None:
    discovery = Discovery()
    discovery.publish(snapshot(b"1"))
    connected(discovery)
    (cluster,) = discovery.publish(Snapshot({**snapshot(b"2", "a", "b").types, SECRET: {"edge": b"1", "b": b"2"}}))
    assert cluster.type_url == CLUSTER
    secret = discovery._streams[1][SECRET]  # what the edge said last
    more = Request(SECRET, version_of(secret.held), secret.nonce, frozenset({"edge", "b"}))
    (push,) = discovery.received(1, more)
    assert push.resources == {"edge": b"1", "b": b"2"}
    assert discovery.received(1, Request(SECRET, push.version, push.nonce, more.names)) == []
    assert discovery.received(1, ack(cluster))[0].type_url == LISTENER


def test_an_edge_that_already_holds_the_content_is_sent_nothing() -> None:
    discovery, kept = Discovery(), snapshot(b"1")
    discovery.publish(kept)
    discovery.opened(1)
    for type_url in ORDER:
        assert discovery.received(1, subscribe(type_url, version_of(kept.of(type_url)))) == []
    assert discovery.applied(kept.version)


def test_an_edge_that_wants_more_names_is_sent_them() -> None:
    discovery = Discovery()
    discovery.publish(Snapshot({ROUTES: {"edge": b"1", "other": b"2"}}))
    discovery.opened(1)
    (push,) = discovery.received(1, subscribe(ROUTES))
    assert set(push.resources) == {"edge"}
    (more,) = discovery.received(1, Request(ROUTES, push.version, push.nonce, frozenset({"edge", "other"})))
    assert set(more.resources) == {"edge", "other"}


@given(st.dictionaries(st.text(max_size=5), st.binary(max_size=5), max_size=4))
def test_a_version_is_of_the_content_whatever_its_order(resources: dict[str, bytes]) -> None:
    assert version_of(resources) == version_of(dict(reversed(resources.items())))
    assert version_of({**resources, "more": b""}) != version_of(resources) or "more" in resources


@dataclass
class FakeEnvoy:
    """Holds what it accepted, as Envoy does, and answers its pushes in any order that the test picks."""

    held: dict[str, dict[str, bytes]] = field(default_factory=dict)
    inbox: list[Push] = field(default_factory=list)
    subscribed: int = 0  # how many of ORDER


class AnyOrder(RuleBasedStateMachine):
    """However publishes, connections, acceptances, refusals and noise interleave, the edge ends at the goal."""

    def __init__(self) -> None:
        super().__init__()
        self.discovery = Discovery()
        self.envoys: dict[int, FakeEnvoy] = {}
        self.streams = 0

    def deliver(self, pushes: list[Push]) -> None:
        for push in pushes:
            self.envoys[push.stream].inbox.append(push)

    @rule(mark=st.sampled_from([b"1", b"2", b"3"]), clusters=st.sets(st.sampled_from("abc"), min_size=1))
    def publish(self, mark: bytes, clusters: set[str]) -> None:
        self.deliver(self.discovery.publish(snapshot(mark, *sorted(clusters))))

    @rule()
    def connect(self) -> None:
        self.streams += 1
        self.envoys[self.streams] = FakeEnvoy()
        self.discovery.opened(self.streams)

    @precondition(lambda self: self.envoys)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(sorted(self.envoys)))
        del self.envoys[stream]
        self.discovery.closed(stream)

    @precondition(lambda self: any(envoy.subscribed < len(ORDER) for envoy in self.envoys.values()))
    @rule(data=st.data())
    def subscribe(self, data: st.DataObject) -> None:
        waiting = [stream for stream, envoy in self.envoys.items() if envoy.subscribed < len(ORDER)]
        self.subscribe_one(data.draw(st.sampled_from(waiting)))

    def subscribe_one(self, stream: int) -> None:
        envoy = self.envoys[stream]
        type_url, envoy.subscribed = ORDER[envoy.subscribed], envoy.subscribed + 1
        self.deliver(self.discovery.received(stream, subscribe(type_url)))

    @precondition(lambda self: any(envoy.inbox for envoy in self.envoys.values()))
    @rule(data=st.data(), error=st.sampled_from(["", "", "", "refused"]))
    def answer(self, data: st.DataObject, error: str) -> None:
        stream = data.draw(st.sampled_from([stream for stream, envoy in self.envoys.items() if envoy.inbox]))
        index = data.draw(st.integers(0, len(self.envoys[stream].inbox) - 1))
        self.answer_one(stream, index, error)

    def answer_one(self, stream: int, index: int, error: str) -> None:
        push = self.envoys[stream].inbox.pop(index)
        if not error:
            self.envoys[stream].held[push.type_url] = dict(push.resources)
        self.deliver(self.discovery.received(stream, ack(push, error)))

    @rule(
        stream=st.integers(0, 5),
        type_url=st.sampled_from([*ORDER, "other"]),
        error=st.sampled_from(["", "noise"]),
    )
    def noise(self, stream: int, type_url: str, error: str) -> None:
        assert self.discovery.received(stream, Request(type_url, "v", "never sent", frozenset("x"), error)) == [] or (
            stream in self.envoys
        )
        # A stream's first request subscribes whatever its nonce is: keep the model in step.
        if stream in self.envoys and type_url in ORDER:
            del self.envoys[stream]
            self.discovery.closed(stream)

    @invariant()
    def at_most_one_push_of_a_type_is_under_way(self) -> None:
        for envoy in self.envoys.values():
            types = [push.type_url for push in envoy.inbox]
            assert len(types) == len(set(types))

    @invariant()
    def routes_never_arrive_before_their_clusters(self) -> None:
        for envoy in self.envoys.values():
            if ROUTES in envoy.held:
                assert CLUSTER in envoy.held

    def teardown(self) -> None:
        """From wherever it stands, accepting everything leads every edge to what was published last."""
        last = snapshot(b"last", "c")
        self.deliver(self.discovery.publish(last))
        for stream, envoy in self.envoys.items():
            while envoy.inbox or envoy.subscribed < len(ORDER):
                if envoy.inbox:
                    self.answer_one(stream, 0, "")
                else:
                    self.subscribe_one(stream)
            assert envoy.held == {type_url: dict(last.of(type_url)) for type_url in ORDER}
        assert self.discovery.applied(last.version) == bool(self.envoys)


TestAnyOrder = AnyOrder.TestCase
