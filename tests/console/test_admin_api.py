"""The admin API over its real Unix socket: answers, limits, and who may ask."""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.client import Client, Refused, Unreachable
from telemetry import Event, EventBatch, Kind
from tests.console.bank_operations import BLOCK, BankOperations, served

STRANGER = """
import os, socket, sys
os.setgid(65534), os.setuid(65534)
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
print(peer.recv(99).decode())
"""
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def bank() -> BankOperations:
    return BankOperations()


@pytest.fixture
def path(bank: BankOperations, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run" / "admin.sock"
    with served(bank, path):
        yield path


@pytest.fixture
def client(path: Path) -> Client:
    return Client(path)


def test_the_socket_is_for_its_owner_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_reads(client: Client) -> None:
    assert client.ask("GET", "/v1/status")["revision"] == "r-1"
    assert client.ask("GET", "/v1/blocks") == [BLOCK]
    assert client.ask("GET", "/v1/blocks/b-1")["receipts"][0]["line"] == "edge"
    assert len(client.ask("GET", "/v1/decisions?limit=7")) == 7
    assert client.ask("GET", "/v1/verdicts") == []
    assert client.ask("GET", "/v1/sessions?index=principal&value=person%3Aalice")[0]["id"] == "d-1"
    assert [event["resource"] for event in client.follow("/v1/events")] == [f"/accounts/{n}" for n in range(3)]


def test_orders_carry_who_the_kernel_says_it_was(client: Client, bank: BankOperations) -> None:
    order = {"kind": "address", "value": "::ffff:198.51.100.9", "ttl": 60, "reason": " scan "}
    assert client.ask("POST", "/v1/blocks", order)["outcome"] == "accepted"
    assert client.ask("DELETE", "/v1/blocks/b-1", {"reason": "mistake", "by": "jo"})["outcome"] == "lifted"
    assert bank.ordered == [
        ("add", "address", "198.51.100.9", 60.0, "scan", ME, False),
        ("lift", "b-1", f"jo as {ME}", "mistake"),
    ]


def test_many_are_blocked_for_one_reason_and_answered_in_their_order(client: Client, bank: BankOperations) -> None:
    targets = [{"kind": "range", "value": "198.51.100.7/32"}, {"kind": "address", "value": "127.0.0.1"}]
    order = {"targets": targets, "ttl": 60, "reason": "list", "by": "jo"}
    assert [answer["outcome"] for answer in client.ask("POST", "/v1/blocks/batch", order)] == ["accepted", "refused"]
    assert [each[:3] for each in bank.ordered] == [("add", "address", "198.51.100.7"), ("add", "address", "127.0.0.1")]
    assert client.ask("POST", "/v1/blocks/batch", order | {"dry_run": True})[0]["would"] == "held"
    assert len(bank.ordered) == 2


def test_a_refusal_of_the_guard_is_an_answer(client: Client) -> None:
    order = {"kind": "address", "value": "127.0.0.1", "ttl": 60, "reason": "scan"}
    assert client.ask("POST", "/v1/blocks", order) == {"outcome": "refused", "reason": "never blocked"}


TWO = [{"kind": "address", "value": "10.1.1.1"}, {"kind": "address", "value": "10.1"}]


@pytest.mark.parametrize(
    ("method", "where", "body", "status", "told"),
    [
        ("POST", "/v1/blocks", b"{", 400, "truncated"),
        ("POST", "/v1/blocks", b"[" * 60_000, 400, "."),
        ("POST", "/v1/blocks", b'"\xff"', 400, "."),
        ("POST", "/v1/blocks", b"x" * 70_000, 413, "larger than"),
        ("POST", "/v1/blocks", {"kind": "address", "value": "x", "ttl": 1, "reason": "r"}, 400, "address 'x'"),
        ("POST", "/v1/blocks", {"kind": "moon", "value": "x", "ttl": 1, "reason": "r"}, 400, "moon"),
        ("POST", "/v1/blocks", {"kind": "actor", "value": "x", "ttl": 0, "reason": "r"}, 400, "ttl"),
        ("POST", "/v1/blocks", {"kind": "actor", "value": "x", "ttl": 1, "reason": " "}, 400, "reason"),
        ("POST", "/v1/blocks", {"kind": "actor", "value": "x", "ttl": 1, "reason": "r", "by": "\n"}, 400, "by"),
        ("POST", "/v1/blocks", {"kind": "actor", "value": "x", "ttl": 1, "reason": "r", "why": 1}, 400, "why"),
        ("POST", "/v1/events", b"not a batch", 400, "not an event batch"),
        ("POST", "/v1/sessions/cut", {"kind": "range", "value": "10.0.0.1/8", "reason": "r"}, 400, "host bits"),
        ("POST", "/v1/sessions/cut", {"kind": "planet", "value": "mars", "reason": "r"}, 400, "planet"),
        ("POST", "/v1/blocks/batch", {"targets": [], "ttl": 1, "reason": "r"}, 400, "1 to 1000"),
        (
            "POST",
            "/v1/blocks/batch",
            {"targets": [{"kind": "actor", "value": "x"}], "ttl": 0, "reason": "r"},
            400,
            "ttl",
        ),
        ("POST", "/v1/blocks/batch", {"targets": TWO, "ttl": 1, "reason": "r"}, 400, r"targets\[1\]: address '10.1'"),
        ("POST", "/v1/blocks/batch", b" " * 300_000, 413, "larger than"),
        ("GET", "/v1/blocks/b-9", None, 404, "no such block"),
        ("DELETE", "/v1/blocks/b-9", {"reason": "r"}, 404, "no such block"),
        ("GET", "/v1/decisions?limit=0", None, 400, "limit"),
        ("GET", "/v1/decisions?limit=%C2%B2", None, 400, "limit"),
        ("GET", "/v1/sessions?index=moon&value=1", None, 400, "index"),
        ("GET", "/v1/sessions?index=actor", None, 400, "go together"),
        ("GET", "/nowhere", None, 404, "no such path"),
        ("PUT", "/v1/blocks", None, 405, "not allowed"),
    ],
)
def test_what_cannot_be_meant_is_the_callers_fault(
    client: Client, bank: BankOperations, method: str, where: str, body: object, status: int, told: str
) -> None:
    with pytest.raises(Refused, match=told) as caught:
        client.ask(method, where, body)
    assert (caught.value.status, caught.value.fault) == (status, "caller")
    assert not [order for order in bank.ordered if order[0] != "lift"]


def test_our_fault_says_nothing_of_the_inside(client: Client, bank: BankOperations) -> None:
    bank.broken = True
    with pytest.raises(Refused, match="inside the gateway") as caught:
        client.ask("GET", "/v1/status")
    assert (caught.value.status, caught.value.fault) == (500, "ours")


def test_a_full_disk_is_said_in_words(client: Client, bank: BankOperations) -> None:
    bank.full = True
    order = {"kind": "address", "value": "198.51.100.9", "ttl": 60, "reason": "scan"}
    with pytest.raises(Refused, match=r"not acknowledged.*disk full") as caught:
        client.ask("POST", "/v1/blocks", order)
    assert (caught.value.status, caught.value.fault) == (503, "ours")


def test_a_batch_of_events_is_taken(client: Client, bank: BankOperations) -> None:
    batch = EventBatch.of([Event(time=1.0, kind=Kind.REQUEST, source="test")] * 3)
    assert client.ask("POST", "/v1/events", batch.to_bytes()) == {"events": 2, "refused": {"in_future": 1}}


def test_another_user_is_turned_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path.chmod(0o666)  # even where the modes were loosened, the kernel's word on the peer decides
    for folder in path.parents:
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o711)
    told = subprocess.run([sys.executable, "-c", STRANGER, str(path)], capture_output=True, text=True, check=False)
    assert told.stdout.startswith("HTTP/1.1 403"), told.stderr


def test_the_local_port_has_the_probes_and_nothing_else(bank: BankOperations, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with served(bank, tmp_path / "run" / "admin.sock", port):
        assert _get(port, "/metrics") == (200, b"portcullis_up 1\n")
        assert _get(port, "/healthz")[0] == 200
        assert _get(port, "/readyz")[0] == 200
        bank.broken = True
        assert _get(port, "/readyz")[0] == 503
        assert _get(port, "/v1/status")[0] == 404


def _get(port: int, where: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", where, headers={"connection": "close"})
    answer = connection.getresponse()
    with answer:
        return answer.status, answer.read()


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
ONE = b'8\r\n{"a":1}\n\r\n'


@contextlib.contextmanager
def answering(path: Path, answer: bytes) -> Iterator[Client]:
    """A gateway that answers one request with these bytes and dies."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Client(path)
        thread.join(10)


@pytest.mark.parametrize("rest", [b"", b"8", b"8\r\n{", b'8\r\n{"a":1}\n\r\n', b"9\r\n{\n\r\n", b"z\r\n"])
def test_a_stream_that_is_cut_is_a_gateway_that_went_away(tmp_path: Path, rest: bytes) -> None:
    with answering(tmp_path / "s", CHUNKED + ONE + rest) as client, pytest.raises(Unreachable, match="went away"):
        assert all(event == {"a": 1} for event in client.follow("/v1/events"))
    with answering(tmp_path / "t", CHUNKED + ONE + b"0\r\n\r\n") as client:
        assert list(client.follow("/v1/events")) == [{"a": 1}]


@pytest.mark.parametrize("answer", [CHUNKED + ONE, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[", b"HTTP/", b""])
def test_an_answer_that_is_cut_is_a_gateway_that_went_away(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path / "s", answer) as client, pytest.raises(Unreachable):
        client.ask("GET", "/v1/status")


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="is `portcullis up` running"):
        Client(tmp_path / "none.sock").ask("GET", "/v1/status")
