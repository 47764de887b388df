"""The line of a host as the gateway sees it: the real program, the real kernel, killed and started again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from console.cli.main import app
from defense_lines.agent import drop, unavailable
from defense_lines.agent.actuation import Until, since_boot
from defense_lines.agent.kernel import Kernel
from defense_lines.agent.openc2_seal import enrol
from defense_lines.agent.prefix import packed
from defense_lines.line import Digest
from tests.defense_lines.agent_rig import PATIENCE, Gateway, agent, batch, block, local
from tests.defense_lines.nftables_rig import namespaces
from tests.defense_lines.test_remote_line import Tls

ROOT = Path(__file__).parent.parent.parent
PROGRAM = ("-m", "console.cli", "line")


def in_namespace(work: Callable[[], Awaitable[None]]) -> None:
    async def story() -> None:
        await work()

    with namespaces(1) as (host,):
        host.loop(story())


@asynccontextmanager
async def program(*options: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    quiet = asyncio.subprocess.DEVNULL
    arguments = (*PROGRAM, *map(str, options), "--table", "t")
    child = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stderr=quiet)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


def listed() -> str:
    return subprocess.run(["nft", "list", "table", "inet", "t"], capture_output=True, text=True).stdout


def digest(*numbers: int) -> Digest:
    return Digest.of(f"b-{number:016x}" for number in numbers)


def test_an_order_goes_to_the_kernel_and_comes_back_as_a_receipt(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            Gateway(tmp_path / "lines.sock").listening() as gateway,
            agent(tmp_path, local(gateway), Kernel("t")),
        ):
            line = await gateway.attached.get()
            orders = [
                block(1, "198.51.100.7"),
                block(2, "198.51.100.0/24", "range"),
                block(3, "2001:db8::/32", "range"),
            ]
            assert (await line.carry_out(batch(0, orders))).notes == ()
            assert all(text in listed() for text in ("198.51.100.7", "198.51.100.0", "2001:db8::"))
            assert await line.active(digest(1, 2, 3), time.time()) is None
            assert (await line.carry_out(batch(3, [orders[0].id, "b-00000000000000ff"]))).notes == ()
            assert "198.51.100.7" not in listed()
            assert await line.active(digest(2, 3), time.time()) is None

    in_namespace(story)


def test_what_somebody_did_to_the_table_is_repaired_and_what_is_foreign_stays(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            Gateway(tmp_path / "lines.sock").listening() as gateway,
            agent(tmp_path, local(gateway), Kernel("t")) as running,
        ):
            line = await gateway.attached.get()
            await line.carry_out(batch(0, [block(number) for number in range(1, 4)]))
            for damage in (
                "delete element inet t ipv4_32 { 10.0.0.1 }",
                "add element inet t ipv4_32 { 203.0.113.9 timeout 1h }",
                "flush chain inet t ingress",
                "insert rule inet t ingress accept",
                "delete table inet t",
            ):
                nft(damage)
                assert await line.active(digest(1, 2, 3), time.time()) is None
                found = running.enforcer.firewall.listing()
                assert set(found.ends) == {packed(f"10.0.0.{number}") for number in range(1, 4)}
                assert "ip saddr @ipv4_32 counter" in listed()
                assert "accept\n\t\tip saddr" not in listed()
                assert found.foreign == ("203.0.113.9" in listed())

    in_namespace(story)


def nft(command: str) -> None:
    subprocess.run(["nft", command], check=True, capture_output=True)


def test_the_program_outlives_its_death_and_holds_net_admin_alone(tmp_path: Path) -> None:
    async def story() -> None:
        options = ("--socket", tmp_path / "lines.sock", "--state", tmp_path / "state")
        async with Gateway(tmp_path / "lines.sock").listening() as gateway:
            async with program(*options) as child:
                line = await gateway.attached.get()
                assert capabilities(child.pid) == {"0000000000001000"}
                await line.carry_out(batch(0, [block(1), block(2, ttl=1.5), block(3)]))
                child.kill()
                assert await gateway.detached.get() is line
            assert "10.0.0.1" in listed()  # the kernel enforces without the agent
            nft("delete element inet t ipv4_32 { 10.0.0.3 }")
            async with program(*options) as child:
                line = await gateway.attached.get()
                assert line.cursor == 3
                while "10.0.0.2" in listed():  # noqa: ASYNC110 - the kernel ends it by itself
                    await asyncio.sleep(0.1)
                assert await line.active(digest(1, 3), time.time()) is None
                assert "10.0.0.3" in listed()
                child.terminate()
                assert await child.wait() == 0
            assert "10.0.0.1" in listed()

    in_namespace(story)


def test_the_program_comes_in_over_tls_by_its_certificate(tmp_path: Path) -> None:
    async def story() -> None:
        tls, gateway = Tls(tmp_path), Gateway(tmp_path / "none")
        tls.line("fw-1")
        files = ("--certificate", tmp_path / "line.pem", "--key", tmp_path / "line.key", "--ca", tmp_path / "ca.pem")
        async with (
            tls.listening(gateway) as url,
            program("--gateway", url, *files, "--state", tmp_path / "state"),
        ):
            line = await gateway.attached.get()
            assert line.name == "fw-1"
            assert (await line.carry_out(batch(0, [block(1)]))).notes == ()
            assert "10.0.0.1" in listed()

    in_namespace(story)


def test_a_large_line_is_restarted_and_reconciled_soon(tmp_path: Path) -> None:
    """A tenth of the 100,000 blocks that docs/lines-agent.md has figures of."""
    count = 10_000

    async def story() -> None:
        async with Gateway(tmp_path / "lines.sock").listening() as gateway:
            async with agent(tmp_path, local(gateway), Kernel("t")):
                line = await gateway.attached.get()
                for start in range(0, count, 1000):
                    blocks = [block(number, ttl=3600) for number in range(start + 1, start + 1001)]
                    assert (await line.carry_out(batch(start, blocks))).notes == ()
            began = time.monotonic()
            async with agent(tmp_path, local(gateway), Kernel("t")):
                line = await gateway.attached.get()
                assert await line.active(digest(*range(1, count + 1)), time.time()) is None
            assert time.monotonic() - began < 5

    in_namespace(story)


@pytest.mark.parametrize("seconds", [0.3, 1.05])
def test_an_order_ends_in_the_kernel_when_it_says_and_never_early(seconds: float) -> None:
    def story() -> None:
        kernel = Kernel("t")
        kernel.start()
        end = since_boot() + seconds
        kernel.change({packed("198.51.100.7"): Until("b-0000000000000001", end)})
        last_seen = asked = since_boot()
        while kernel.listing().ends:
            last_seen, asked = asked, since_boot()
        assert since_boot() >= end  # the listing that did not find it was made before this
        assert last_seen < end + 0.2
        kernel.close()

    with namespaces(1) as (host,):
        host.run(story)


def capabilities(pid: int) -> set[str]:
    """CapEff of every thread of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {
        line.split()[1]
        for task in tasks
        for line in (task / "status").read_text().splitlines()
        if line.startswith("CapEff")
    }


NO_LIBRARY = """
import sys
from defense_lines.agent import libnftables
from console.cli.main import main
libnftables.LIBRARY = "libnone.so"
sys.argv[0] = "portcullis"
main()
"""


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ((*PROGRAM, "--socket", "none.sock"), "needs CAP_NET_ADMIN"),
        (("-m", "defense_lines.agent.openc2_consumer"), "OpenC2 consumer: needs CAP_NET_ADMIN"),
        (("-c", NO_LIBRARY, "line", "--socket", "none.sock"), "nftables unavailable: libnone.so not found"),
    ],
)
def test_a_program_that_lacks_a_part_says_so_in_one_line(
    arguments: tuple[str, ...], cause: str, tmp_path: Path
) -> None:
    if reason := unavailable():
        pytest.skip(f"needs libnftables ({reason})")
    enrolment = tmp_path / "enrolment"
    enrolment.write_bytes(msgspec.json.encode(enrol(Ed25519PrivateKey.generate(), "fw-1")))
    state = ("--enrolment", str(enrolment)) if cause.startswith("OpenC2") else ("--state", str(tmp_path))
    child = subprocess.run(
        [sys.executable, *arguments, *state],
        preexec_fn=lambda: drop(frozenset()),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=ROOT,
    )
    assert (child.returncode, child.stdout) == (1, "")
    (line,) = child.stderr.splitlines()
    assert line.startswith(cause)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--gateway", "wss://gw:8285"),
        ("--gateway", "http://gw", "--certificate", "a", "--key", "b", "--ca", "c"),
        ("--socket", "s", "--proxy", "http://proxy:3128"),
        ("--socket", "s", "--table", "x; flush ruleset"),
    ],
)
def test_what_does_not_fit_together_is_a_usage_error(options: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["line", *options]).exit_code == 2
