"""The guard: no permitted block ever hits what must never be blocked, lasts too long, or is one too many."""

from __future__ import annotations

import ipaddress
import time
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defense_lines import WEEK, Activity, Callers, Guard, GuardLimits, Override, Permit, Refusal
from policy import BlockPolicy, Cause, InvalidTarget, Target, TargetKind

NOW = 1_800_000_000.0


def block(
    kind: TargetKind, value: str, by: str = "detector:access", ttl: float = 600, created: float = NOW
) -> BlockPolicy:
    cause = Cause(reason="enumerates", by=by)
    return BlockPolicy(
        id="b-0000000000000001", target=Target(kind, value), created=created, expires=created + ttl, cause=cause
    )


def judged(guard: Guard, wanted: BlockPolicy, override: Override | None = None) -> str:
    """The rule that refused or held, "canary" or "permitted"."""
    answer = guard.judge(wanted, NOW, override)
    assert answer.block.target is wanted.target
    if not isinstance(answer, Permit):
        return answer.rule
    return "canary" if answer.whole else "permitted"


def of_the_hour(activity: Activity) -> Callers:
    return Callers(activity, Activity(window=WEEK))


v4 = st.integers(0, 2**32 - 1).map(lambda number: ipaddress.ip_network((number, 32)))
v6 = st.integers(0, 2**128 - 1).map(lambda number: ipaddress.ip_network((number, 128)))
networks = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
        lambda pair: ipaddress.ip_network((pair[0], pair[1]), strict=False)
    ),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
        lambda pair: ipaddress.ip_network((pair[0], pair[1]), strict=False)
    ),
    # the IPv4-mapped block and its neighbours, where the two families meet
    st.tuples(st.integers(0xFFFE << 32, (0x10001 << 32) - 1), st.integers(64, 128)).map(
        lambda pair: ipaddress.ip_network((pair[0], pair[1]), strict=False)
    ),
)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def target_of(network: Network) -> Target:
    whole = network.prefixlen == network.max_prefixlen
    return Target.of("address", str(network.network_address)) if whole else Target.of("range", str(network))


# as `never_block` and `wide` have them, whatever the configuration says
ALWAYS = [
    *map(ipaddress.ip_network, ("0.0.0.0/8", "127.0.0.1", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255")),
    *map(ipaddress.ip_network, ("::", "::1", "fe80::/10", "ff00::/8")),
]


def as_v6(network: Network) -> ipaddress.IPv6Network:
    """An oracle of its own: any network as the IPv6 network that means the same."""
    if isinstance(network, ipaddress.IPv6Network):
        return network
    return ipaddress.IPv6Network(f"::ffff:{network.network_address}/{network.prefixlen + 96}")


@given(st.lists(networks, max_size=4), networks)
def test_no_permitted_block_overlaps_what_must_never_be_blocked(kept: list[Network], wanted: Network) -> None:
    """Permitted implies no overlap in either direction; refused implies that there is one."""
    guard = Guard(GuardLimits(never_block_addresses=tuple(str(network) for network in kept)))
    target = target_of(wanted)
    overlap = any(as_v6(network).overlaps(as_v6(wanted)) for network in (*kept, *ALWAYS))
    canonical = ipaddress.ip_network(target.value)
    otherwise = "wide" if canonical.prefixlen < (16 if canonical.version == 4 else 32) else "permitted"
    assert judged(guard, block(target.kind, target.value)) == ("never_block" if overlap else otherwise)


@given(networks, st.integers(0, 2**32 - 1))
def test_mapped_and_plain_addresses_are_the_same(kept: Network, number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    mapped = Target.of("address", f"::ffff:{plain}")
    assert mapped == Target.of("address", str(plain))
    twin = str(as_v6(kept))
    for limits in (GuardLimits((str(kept),)), GuardLimits((twin,))):
        own = as_v6(ipaddress.ip_network(plain))
        expected = "never_block" if any(as_v6(one).overlaps(own) for one in (kept, *ALWAYS)) else "permitted"
        assert judged(Guard(limits), block("address", mapped.value)) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("address", "::ffff:10.0.0.1"),
        ("address", "010.0.0.1"),
        ("address", "10.0.0.256"),
        ("address", "2001:DB8::1"),
        ("range", "10.0.0.1/8"),
        ("range", "10.0.0.0/255.0.0.0"),
        ("principal", ""),
        ("session", "a\nb"),
    ],
)
def test_a_target_that_lines_would_not_recognise_is_refused(kind: TargetKind, value: str) -> None:
    assert judged(Guard(GuardLimits()), block(kind, value)) == "target"


@pytest.mark.parametrize(
    ("kind", "value"), [("range", "2001:db8::%1/48"), ("address", "2001:db8::5%eth0"), ("range", "fe80::%x/64")]
)
def test_a_zone_hides_nothing(kind: TargetKind, value: str) -> None:
    """A range with a zone was judged as one address, and cut every stream in it."""
    with pytest.raises(InvalidTarget, match="zone"):
        Target.of(kind, value)
    assert judged(Guard(GuardLimits()), block(kind, value)) == "target"


@pytest.mark.parametrize("value", ["198.51.100.9/32", "2001:db8::9/128", "::ffff:198.51.100.9/128"])
def test_a_range_of_one_is_an_address(value: str) -> None:
    target = Target.of("range", value)
    assert target in (Target("address", "198.51.100.9"), Target("address", "2001:db8::9"))
    assert judged(Guard(GuardLimits()), block("range", value)) == "target"


@pytest.mark.parametrize("value", ["203.0.113.9/32", "203.0.113.8/31", "203.0.113.0/28", "203.0.113.0/24"])
def test_a_range_with_a_shared_address_is_as_shared_as_the_address(value: str) -> None:
    people = Activity(window=WEEK)
    for number in range(1000):
        address = "203.0.113.9" if number < 45 else f"10.2.{number // 250}.{number % 250}"
        people.saw(f"person:{number}", f"person:{number}", address, "", NOW)
    target = Target.of("range", value)
    for callers in (of_the_hour(people), Callers(Activity(), people)):
        assert judged(Guard(GuardLimits(), callers), block(target.kind, target.value)) == "shared"


@pytest.mark.parametrize("kind", ["principal", "actor"])
def test_protected_principals_are_never_blocked_as_subject_or_actor(kind: TargetKind) -> None:
    guard = Guard(GuardLimits(never_block_principals=("workload:core",)))
    assert judged(guard, block(kind, "workload:core")) == "never_block"
    assert judged(guard, block(kind, "workload:cor")) == "permitted"


@pytest.mark.parametrize(("principal", "actor"), [("workload:core", "agent:x"), ("person:alice", "workload:core")])
def test_a_session_of_a_protected_principal_is_never_blocked(principal: str, actor: str) -> None:
    activity = Activity()
    activity.saw(principal, actor, "10.0.0.5", "s-1", NOW)
    guard = Guard(GuardLimits(never_block_principals=("workload:core",)), of_the_hour(activity))
    assert judged(guard, block("session", "s-1")) == "never_block"
    assert judged(guard, block("session", "s-2")) == "permitted"


def test_nobody_overrides_never_block_or_ttl() -> None:
    guard = Guard(GuardLimits())
    boss = Override(by="analyst:jo", reason="break glass")
    assert judged(guard, block("address", "127.0.0.1"), boss) == "never_block"
    assert judged(guard, block("address", "198.51.100.1", ttl=10**6), boss) == "ttl"
    refusal = guard.judge(block("address", "127.0.0.1"), NOW, boss)
    assert isinstance(refusal, Refusal)
    assert refusal.override == boss


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_a_permitted_block_lives_now_and_ends_in_time(created: float, expires: float) -> None:
    limits = GuardLimits(max_ttl_seconds=3600)
    cause = Cause(reason="x", by="detector:access")
    wanted = BlockPolicy(
        id="b-1", target=Target("address", "198.51.100.1"), created=created, expires=expires, cause=cause
    )
    if isinstance(Guard(limits).judge(wanted, NOW), Permit):
        assert NOW < wanted.expires <= NOW + 3605
        assert wanted.expires - wanted.created <= 3600


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from(["detector:a", "detector:b"]), st.floats(0, 70), st.booleans()), max_size=60),
)
def test_no_author_ever_has_more_than_the_limit_within_a_minute(
    limit: int, asked: list[tuple[str, float, bool]]
) -> None:
    moment = 0.0
    guard = Guard(GuardLimits(blocks_per_minute=limit), monotonic=lambda: moment)
    given_at: dict[str, list[float]] = defaultdict(list)
    for author, pause, protected in asked:
        moment += pause
        wanted = block("address", "127.0.0.1" if protected else "198.51.100.1", author)
        recent = [time for time in given_at[author] if time > moment - 60]
        answer = judged(guard, wanted)
        if protected:
            assert answer == "never_block"
        elif len(recent) < limit:
            assert answer == "permitted"
            given_at[author].append(moment)
        else:
            assert answer == "rate"


def test_authors_of_one_sort_leave_room_for_the_other() -> None:
    guard = Guard(GuardLimits(), monotonic=lambda: 0.0)
    for number in range(1024):
        judged(guard, block("address", "198.51.100.1", by=f"analyst:{number}"))
    assert judged(guard, block("address", "198.51.100.1", by="analyst:one-too-many")) == "rate"
    assert judged(guard, block("address", "198.51.100.1", by="detector:access")) == "permitted"


def test_an_operator_may_override_the_rate_on_record() -> None:
    guard = Guard(GuardLimits(blocks_per_minute=1), monotonic=lambda: 0.0)
    boss = Override(by="analyst:jo", reason="a wave of scanners")
    first = guard.judge(block("address", "198.51.100.1"), NOW, boss)
    assert isinstance(first, Permit)
    assert first.override is None  # nothing had to be overridden
    assert judged(guard, block("address", "198.51.100.2")) == "rate"
    assert judged(guard, block("address", "198.51.100.2"), Override(by="", reason="nobody")) == "rate"
    second = guard.judge(block("address", "198.51.100.2"), NOW, boss)
    assert isinstance(second, Permit)
    assert second.override == boss


def test_many_authors_are_bounded() -> None:
    guard = Guard(GuardLimits(), monotonic=lambda: 0.0)
    answers = [judged(guard, block("address", "198.51.100.1", f"detector:{number}")) for number in range(1100)]
    assert answers.count("permitted") == 1024
    assert answers.count("rate") == 76


def crowd(people: int) -> Activity:
    """People at an office address each, and all at the proxy 203.0.113.9; one agent acts for the first half."""
    activity = Activity()
    for number in range(people):
        person = f"person:{number}"
        activity.saw(person, person, f"10.1.{number // 250}.{number % 250}", f"s-{number}", NOW)
        activity.saw(person, "agent:a" if number < people / 2 else person, "203.0.113.9", f"t-{number}", NOW)
    return activity


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("address", "10.1.0.7", "permitted"),
        ("address", "203.0.113.9", "shared"),
        ("address", "198.51.100.1", "permitted"),
        ("range", "10.1.0.0/30", "canary"),
        ("range", "10.1.0.0/31", "permitted"),
        ("range", "10.1.0.0/28", "blast_radius"),
        ("range", "10.0.0.0/8", "wide"),
        ("range", "::/1", "never_block"),
        ("range", "192.0.2.0/24", "permitted"),
        ("actor", "agent:a", "canary"),
        ("principal", "person:3", "permitted"),
        ("session", "s-3", "permitted"),
    ],
)
def test_blast_radius(kind: TargetKind, value: str, expected: str) -> None:
    limits = GuardLimits(never_block_addresses=(), blast_radius_count=3, blast_radius_share=0.1)
    assert judged(Guard(limits, of_the_hour(crowd(20))), block(kind, value)) == expected
    boss = Override(by="analyst:jo", reason="break glass")
    overridden = "permitted" if expected == "canary" else expected
    assert judged(Guard(limits, of_the_hour(crowd(20))), block(kind, value), boss) == overridden


def test_beyond_the_number_the_share_counts() -> None:
    limits = GuardLimits(never_block_addresses=(), blast_radius_count=3, blast_radius_share=0.2)
    callers = of_the_hour(crowd(100))
    assert judged(Guard(limits, callers), block("range", "10.1.0.0/28")) == "permitted"  # 16 of 100
    assert judged(Guard(limits, callers), block("range", "10.1.0.0/27")) == "canary"  # 32 of 100
    assert judged(Guard(limits, callers), block("range", "10.1.0.0/26")) == "blast_radius"  # 64 of 100


sightings = st.tuples(
    st.sampled_from(["person:a", "person:b", "person:c"]),
    st.sampled_from(["person:a", "agent:x", "agent:y"]),
    st.sampled_from(["10.0.0.1", "10.0.1.1", "2001:db8::1", "", "unix"]),
    st.sampled_from(["s-1", "s-2", ""]),
    st.floats(0, 2000),
)


@given(st.lists(sightings, max_size=40))
def test_activity_equals_a_plain_list_of_the_last_hour(seen: list[tuple[str, str, str, str, float]]) -> None:
    activity, now = Activity(limit=1000), NOW
    latest: dict[tuple[str, str, str, str], float] = {}
    for principal, actor, address, session, pause in seen:
        now += pause
        activity.saw(principal, actor, address, session, now)
        key = (principal, actor, address, session)
        if now - latest.get(key, 0) >= 30:  # a second sighting within half a minute changes nothing
            latest[key] = now
    hour = [key for key, time in latest.items() if time > now - 3600]
    assert activity.principals(now) == len({principal for principal, *_ in hour})
    for address in ("10.0.0.1", "2001:db8::1"):
        expected = {principal for principal, _, at, _ in hour if at == address}
        assert activity.hit(Target("address", address), now) == expected
    ten = {principal for principal, _, at, _ in hour if at.startswith("10.")}
    assert activity.hit(Target("range", "10.0.0.0/8"), now) == ten
    assert activity.hit(Target("range", "10.0.1.0/24"), now) == {p for p, _, at, _ in hour if at == "10.0.1.1"}
    assert activity.hit(Target("actor", "agent:x"), now) == {p for p, actor, *_ in hour if actor == "agent:x"}
    assert activity.owners("s-1", now) == {name for p, actor, _, s in hour if s == "s-1" for name in (p, actor)}


def test_activity_is_bounded_and_counts_what_it_forgets() -> None:
    activity = Activity(limit=100)
    for number in range(250):
        activity.saw(f"person:{number}", f"person:{number}", f"10.0.0.{number}", f"s-{number}", NOW + number)
    assert len(activity) == 100
    assert activity.forgotten == 150
    assert activity.principals(NOW + 250) == 100
    assert not activity.hit(Target("address", "10.0.0.1"), NOW + 250)
    assert activity.principals(NOW + 10_000) == 0
    assert activity.addresses(NOW + 10_000) == 0


def test_one_caller_who_comes_from_everywhere_makes_nobody_else_forgotten() -> None:
    activity = Activity(limit=2000)
    for number in range(1000):
        address = "203.0.113.9" if number < 500 else f"10.2.{number // 250}.{number % 250}"
        activity.saw(f"person:{number}", f"person:{number}", address, "", NOW)
    for number in range(3000):
        activity.saw("person:mallory", "person:mallory", f"2001:db8:bad::{number:x}", f"s-{number}", NOW + 1)
    assert activity.count(Target("address", "203.0.113.9"), NOW + 1) == 500
    assert activity.count(Target("address", "2001:db8:bad::bb7"), NOW + 1) == 1  # the latest is known
    assert (len(activity), activity.forgotten) == (1256, 2744)


def test_where_there_is_no_room_who_has_more_than_the_others_makes_it() -> None:
    """Twenty accounts of one attacker fill what is left, and no more than that."""
    activity = Activity(limit=2000)
    for number in range(1000):
        activity.saw(f"person:{number}", f"person:{number}", "203.0.113.9", "", NOW)
    for number in range(20_000):
        puppet = f"person:puppet-{number % 20}"
        activity.saw(puppet, puppet, f"2001:db8:bad::{number:x}", "", NOW + 1)
    assert activity.count(Target("address", "203.0.113.9"), NOW + 1) == 1000
    assert len(activity) == 2000


def test_only_the_guard_makes_permits() -> None:
    with pytest.raises(TypeError):
        Permit(object(), block("address", "198.51.100.1"), None, 0.0, 0.0)


def test_a_bad_never_block_list_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.300"):
        Guard(GuardLimits(never_block_addresses=("10.0.0.300",)))


def test_a_range_with_more_good_addresses_than_are_looked_at_is_held_and_costs_little() -> None:
    """One of 200,000 took half a second of everybody's."""
    busy = Activity(limit=100_000)
    for number in range(30_000):
        busy.saw("person:a", "person:a", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", f"s-{number}", NOW)
        busy.saw(f"person:{number}", "agent:a", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "", NOW)
    lax = GuardLimits(approval_most=90_000, approval_count=90_000, blast_radius_count=90_000, blast_radius_most=90_000)
    guard = Guard(lax, Callers(busy, Activity(window=WEEK)))
    assert judged(guard, block("range", "10.0.0.0/18")) == "blast_radius"
    began = time.perf_counter()
    radius = guard.radius(Target("range", "10.0.0.0/16"), NOW)
    assert time.perf_counter() - began < 0.1
    assert (radius.more, radius.addresses) == (True, 30_000)
    assert 0 < radius.principals <= 10_000
