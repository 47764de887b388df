"""Where a service has the gateway's keys from, how often it asks, and what holds while nobody answers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from tests.authority import Authority
from tests.verifier.rig import KEY, OTHER, Publisher, key_file, published, publisher, signed, until
from verifier import Jwks, NotVerified

TOKEN = signed()
UNKNOWN = signed(headers={"kid": "k2"})


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served() -> Iterator[Publisher]:
    with publisher() as made:
        yield made


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    assert Jwks(path).keys(TOKEN).keys() == {"k1"}
    assert Jwks(str(path)).keys(TOKEN).keys() == {"k1"}


def test_keys_come_from_a_url_once_for_many_tokens(served: Publisher) -> None:
    keys = Jwks(served.url)
    for _ in range(10):
        assert keys.keys(TOKEN).keys() == {"k1"}
    assert served.asked == 1


def test_a_server_of_the_banks_own_authority_is_believed_by_who_names_the_authority(tmp_path: Path) -> None:
    bank, other = Authority(tmp_path, "bank"), Authority(tmp_path, "other")
    certificate = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.load_cert_chain(*bank.issue("gateway", x509.IPAddress(ip_address("127.0.0.1"))))
    with publisher(certificate) as served:
        believed = Jwks(served.url, tls=ssl.create_default_context(cafile=bank.certificate))
        assert believed.keys(TOKEN).keys() == {"k1"}
        for stranger in (None, ssl.create_default_context(cafile=other.certificate)):
            with pytest.raises(NotVerified, match="CERTIFICATE_VERIFY_FAILED"):
                Jwks(served.url, tls=stranger).keys(TOKEN)
        assert served.asked == 1


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/jwks", "file:///etc/passwd", "gopher://a"])
def test_other_urls_are_an_error(url: str) -> None:
    with pytest.raises(ValueError, match="a file or an http"):
        Jwks(url)


def test_a_storm_of_unknown_keys_makes_one_fetch_in_a_pause(served: Publisher, clock: Clock) -> None:
    keys = Jwks(served.url, pause=3.0, clock=clock)
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(keys.keys, [signed(headers={"kid": f"u{number}"}) for number in range(200)]))
    assert served.asked == 1
    assert all(some.keys() == {"k1"} for some in found)
    clock.now = 2.9
    keys.keys(UNKNOWN)
    assert served.asked == 1
    served.document = published(k1=KEY, k2=OTHER)
    clock.now = 3.0
    assert keys.keys(UNKNOWN).keys() == {"k1", "k2"}
    assert served.asked == 2


async def test_many_tasks_share_one_fetch_and_one_that_gives_up_ends_it_for_none(served: Publisher) -> None:
    served.gate.clear()
    keys = Jwks(served.url)
    tasks = [asyncio.create_task(keys.keys_async(TOKEN)) for _ in range(50)]
    await until(lambda: served.asked)
    tasks[0].cancel()
    served.gate.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(some, dict) and some.keys() == {"k1"} for some in found[1:])
    assert served.asked == 1


async def test_who_knows_the_key_waits_for_nobody(served: Publisher, clock: Clock) -> None:
    keys = Jwks(served.url, clock=clock)
    await keys.keys_async(TOKEN)
    served.gate.clear()
    clock.now = 4.0
    waiting = asyncio.create_task(keys.keys_async(UNKNOWN))
    await until(lambda: served.asked == 2)
    async with asyncio.timeout(5):
        assert (await keys.keys_async(TOKEN)).keys() == {"k1"}
    assert keys.keys(TOKEN).keys() == {"k1"}
    assert not waiting.done()
    served.gate.set()
    await waiting


async def test_keys_are_renewed_by_period_and_a_removed_one_goes(served: Publisher, clock: Clock) -> None:
    keys = Jwks(served.url, period=300, clock=clock)
    await keys.keys_async(TOKEN)
    served.document = published(k2=OTHER)
    clock.now = 299
    assert (await keys.keys_async(TOKEN)).keys() == {"k1"}
    clock.now = 300
    await keys.keys_async(TOKEN)
    await until(lambda: keys.keys(UNKNOWN).keys() == {"k2"})
    assert served.asked == 2


@pytest.mark.parametrize(("status", "document"), [(500, b""), (302, b""), (200, b"nonsense"), (200, b"x" * 300_000)])
async def test_while_the_source_fails_known_keys_count_until_their_bound(
    served: Publisher, clock: Clock, status: int, document: bytes
) -> None:
    keys = Jwks(served.url, bound=3600, clock=clock)
    await keys.keys_async(TOKEN)
    served.status, served.document = status, document
    clock.now = 3599
    assert (await keys.keys_async(UNKNOWN)).keys() == {"k1"}
    clock.now = 3602
    with pytest.raises(NotVerified, match=r"the gateway's keys are not known: .*Error"):
        await keys.keys_async(TOKEN)
    served.status, served.document = 200, published(k1=KEY)
    clock.now = 3606
    assert (await keys.keys_async(TOKEN)).keys() == {"k1"}


def test_a_source_that_never_answered_is_named_in_the_refusal(tmp_path: Path) -> None:
    with pytest.raises(NotVerified, match=r"not known: FileNotFoundError: .*absent\.json"):
        Jwks(tmp_path / "absent.json").keys(TOKEN)


def test_what_is_no_token_fetches_nothing(served: Publisher) -> None:
    keys = Jwks(served.url)
    with pytest.raises(NotVerified, match="not a transaction token"):
        keys.keys("nonsense")
    assert served.asked == 0
