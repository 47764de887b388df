"""What comes through a consumer's gate, message by message, with a clock of the test's own."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from defense_lines.agent.openc2_command import MAX_MESSAGE
from defense_lines.agent.openc2_gate import DOUBT, MAX_AGE, Admitted, Gate, Refused, Stamp
from defense_lines.agent.openc2_message import deny, request
from defense_lines.agent.openc2_seal import answers_key, enrol, open_command, seal_answer, seal_command, sealed_answer

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
DEVICE, GROUP = "oc2/cmd/device/fw-1", "oc2/cmd/ap/slpf"


class Site:
    """A gate, its clock, and the gateway that talks to it."""

    def __init__(self) -> None:
        self.now = 5_000.0
        self.gate = Gate("fw-1", ("oc2/cmd/all", GROUP, DEVICE), KEY.public_key(), lambda: self.now)
        self.began = self.now - 100.0  # when the gateway started, by the consumer's clock

    def command(self, number: int, key: Ed25519PrivateKey = KEY, **said: Any) -> bytes:
        sent = int((self.now - self.began) * 1000)
        stamp = Stamp(**{"session": "s-1", "number": number, "time": sent, "scope": GROUP, "head": "h", **said})
        return seal_command(request("r-1", "portcullis", 1.0, deny("198.51.100.7/32", 60, "b-1"), stamp), key)

    def bind(self, number: int = 1, **said: Any) -> None:
        bound = self.command(number, nonce=self.gate.nonce(), scope=DEVICE, **said)
        assert isinstance(self.gate.admit(bound), Admitted)

    def why(self, message: bytes) -> str:
        said = self.gate.admit(message)
        return said.why if isinstance(said, Refused) else ""


def test_what_the_gateway_signs_in_its_session_comes_through_once() -> None:
    site = Site()
    site.bind()
    message = site.command(2)
    admitted = site.gate.admit(message)
    assert isinstance(admitted, Admitted)
    assert (admitted.age, admitted.head) == (0.0, "h")
    assert admitted.message == message[: message.index(b',"signature"')] + b"}"
    assert site.why(message) == "sequence"  # replayed


def test_what_overtook_another_leaves_it_behind() -> None:
    site = Site()
    site.bind()
    early = site.command(2)
    assert site.why(site.command(3)) == ""
    assert site.why(early) == "sequence"


def test_nothing_comes_through_before_the_gateway_answered_a_nonce() -> None:
    site = Site()
    recorded = site.command(7)
    assert site.why(recorded) == "session"
    site.bind()
    assert site.why(site.command(8, session="s-0")) == "session"


def test_what_was_recorded_before_a_restart_is_of_no_use_after_it() -> None:
    before, after = Site(), Site()
    bound = before.command(1, nonce=before.gate.nonce(), scope=DEVICE)
    assert before.why(bound) == ""
    recorded = [bound, before.command(2)]
    assert after.gate.nonce()
    assert [after.why(message) for message in recorded] == ["session", "session"]
    after.bind(3)
    assert [after.why(message) for message in recorded] == ["session", "sequence"]


def test_a_nonce_is_good_for_one_command_and_for_a_moment() -> None:
    site = Site()
    first, second = (site.command(number, nonce=site.gate.nonce(), scope=DEVICE) for number in (1, 2))
    assert site.why(first) == ""
    assert site.why(second) == "session"
    late = site.command(3, nonce=site.gate.nonce(), scope=DEVICE)
    site.now += MAX_AGE + 0.1
    assert site.why(late) == "expired"
    site.bind(4)


def test_a_nonce_does_not_turn_the_sequence_back() -> None:
    site = Site()
    site.bind(5)
    assert site.why(site.command(5, nonce=site.gate.nonce(), scope=DEVICE)) == "sequence"


def test_what_was_held_back_too_long_is_refused_and_else_its_age_is_known() -> None:
    site = Site()
    site.bind()
    held, slow = site.command(3), site.command(2)
    site.now += 2.0
    admitted = site.gate.admit(slow)
    assert isinstance(admitted, Admitted)
    assert admitted.age == pytest.approx(2.0)
    site.now += MAX_AGE
    assert site.why(held) == "expired"


def test_how_the_gateways_time_runs_is_not_learnt_from_what_was_on_its_way_for_long() -> None:
    """Else every block would end late by as much."""
    site = Site()
    slow = site.command(1, nonce=site.gate.nonce(), scope=DEVICE)
    site.now += DOUBT + 0.1
    assert site.why(slow) == "expired"
    nonce = site.gate.nonce()
    site.now += 3.0  # while the gateway had nothing to say
    assert site.why(site.command(2, nonce=nonce, scope=DEVICE, held=2_900)) == ""


def test_a_bind_that_was_slow_is_set_right_by_what_is_faster() -> None:
    site = Site()
    bound = site.command(1, nonce=site.gate.nonce(), scope=DEVICE)
    site.now += DOUBT - 0.1  # on its way
    assert site.why(bound) == ""
    assert site.why(site.command(2)) == ""
    held = site.command(3)
    site.now += MAX_AGE - 1
    admitted = site.gate.admit(held)
    assert isinstance(admitted, Admitted)
    assert admitted.age == pytest.approx(MAX_AGE - 1)


def test_a_clock_that_runs_ahead_asks_to_be_bound_again() -> None:
    site = Site()
    site.bind()
    site.began += MAX_AGE + 1  # by the consumer's clock the gateway's time is behind
    assert site.why(site.command(2)) == "expired"
    site.bind(3)
    assert site.why(site.command(4)) == ""


@pytest.mark.parametrize("scope", ["oc2/cmd/device/fw-2", "oc2/cmd/ap/other", ""])
def test_what_is_signed_for_others_is_not_for_us(scope: str) -> None:
    site = Site()
    site.bind()
    assert site.why(site.command(2, scope=scope)) == "scope"
    assert site.why(site.command(2)) == ""  # and uses up no number


def test_a_command_that_leaves_us_out_is_passed_over_and_counts_in_the_sequence() -> None:
    site = Site()
    site.bind()
    message = site.command(2, excluded=("fw-0", "fw-1"))
    assert site.gate.admit(message) is None
    assert site.why(message) == "sequence"


@pytest.mark.parametrize("number", [1 << 60, -1, "2", 2.5])
def test_a_number_that_is_none_is_refused(number: Any) -> None:
    site = Site()
    site.bind()
    assert site.why(site.command(number)) in ("scope", "sequence")


def test_a_long_message_is_not_even_checked() -> None:
    site = Site()
    site.bind()
    assert site.why(site.command(2, head="h" * MAX_MESSAGE)) == "unsigned"


@given(st.data())
def test_any_change_of_a_command_is_seen(data: st.DataObject) -> None:
    message = Site().command(2)
    at = data.draw(st.integers(0, len(message) - 1))
    changed = message[:at] + data.draw(st.binary(max_size=3)) + message[at + data.draw(st.integers(0, 2)) :]
    opened = open_command(changed, KEY.public_key())
    # base64 has two spare bits at the end of a signature; what was signed is what counts
    assert opened is None or opened == open_command(message, KEY.public_key())


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(message: bytes) -> None:
    site = Site()
    assert site.why(message) == "unsigned"


def test_another_key_another_kind_of_seal_and_none_are_refused() -> None:
    site = Site()
    site.bind()
    inner = open_command(site.command(2), KEY.public_key())
    assert inner is not None
    secret = answers_key(KEY, "fw-1")
    for message in (site.command(2, key=OTHER_KEY), inner, seal_answer(inner, secret), seal_answer(inner, bytes(32))):
        assert site.why(message) == "unsigned"


def test_an_answer_is_one_devices_own() -> None:
    secret = enrol(KEY, "fw-1").secret
    sealed = seal_answer(b'{"body":{}}', secret)
    assert secret == answers_key(KEY, "fw-1")
    assert sealed_answer(sealed, secret)
    assert not sealed_answer(sealed, answers_key(KEY, "fw-2"))
    assert not sealed_answer(sealed, answers_key(OTHER_KEY, "fw-1"))
    assert not sealed_answer(sealed.replace(b"body", b"bodi"), secret)
    assert not sealed_answer(b'{"body":{}}', secret)
