from typing import Any

import pytest
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage

from telemetry import Event, Kind, access_logs, cleanse
from telemetry.sources.access_log import NAMESPACES

NOW = 1_700_000_000.0


def entry(message: Any, namespace: str = "", **told: str) -> Any:
    """A request as Envoy tells it, with what our enforcement point said under `namespace`."""
    one = message.http_logs.log_entry.add()
    common = one.common_properties
    common.start_time.seconds, common.start_time.nanos = int(NOW), 500_000_000
    common.time_to_last_downstream_tx_byte.nanos = 2_000_000
    common.downstream_remote_address.socket_address.address = "10.0.0.5"
    common.downstream_direct_remote_address.socket_address.address = "198.51.100.1"
    common.upstream_cluster = "accounts"
    one.request.request_method = 3
    one.request.path = "/payments?token=secret"
    one.request.request_headers_bytes, one.request.request_body_bytes = 300, 20
    one.response.response_code.value = 200
    one.response.response_headers_bytes, one.response.response_body_bytes = 100, 50
    one.response.response_code_details = "via_upstream"
    for key, value in told.items():
        fields = common.metadata.filter_metadata[namespace].fields
        fields[f"x-portcullis-{key}"].string_value = value
    return one


def only(message: StreamAccessLogsMessage) -> Event:
    (event,) = access_logs(message.http_logs.log_entry).events()
    return event


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_an_entry_with_our_metadata_becomes_a_row(namespace: str) -> None:
    message = StreamAccessLogsMessage()
    entry(message, namespace, decision="d-1", subject="person:alice", actor="agent:bot", effect="allow")
    assert only(message) == Event(
        time=NOW + 0.5,
        kind=Kind.REQUEST,
        source="edge",
        subject="person:alice",
        actor="agent:bot",
        session="d-1",
        address="10.0.0.5",
        service="accounts",
        resource="/payments",
        action="POST",
        outcome="allow",
        status=200,
        bytes_in=320,
        bytes_out=150,
        duration=0.002,
    )


def test_many_entries_become_one_batch_in_order() -> None:
    message = StreamAccessLogsMessage()
    for n in range(50):
        entry(message, NAMESPACES[0], decision=f"d-{n}", subject=f"person:{n % 3}", effect="step_up")
    batch = access_logs(message.http_logs.log_entry)
    assert list(batch.session) == [f"d-{n}" for n in range(50)]
    assert batch.subject.values == ("person:0", "person:1", "person:2")
    assert set(batch.outcome) == {"step_up"}
    assert cleanse(batch, NOW) == (batch, ())


def test_no_entries_are_an_empty_batch() -> None:
    assert len(access_logs([])) == 0


@pytest.mark.parametrize(
    ("status", "details", "outcome"),
    [
        (401, "ext_authz_denied", "deny"),
        (403, "ext_authz_denied", "deny"),
        (503, "ext_authz_error", "error"),
        (403, "ext_authz_error", "error"),
        (404, "route_not_found", "error"),
        (403, "rbac_access_denied", "deny"),
        (503, "no_healthy_upstream", "error"),
        (0, "downstream_remote_disconnect", "error"),
        (404, "via_upstream", "allow"),
        (500, "via_upstream", "error"),
    ],
)
def test_without_metadata_the_outcome_is_how_envoy_ended_it(status: int, details: str, outcome: str) -> None:
    message = StreamAccessLogsMessage()
    one = entry(message)
    one.response.response_code.value = status
    one.response.response_code_details = details
    one.response.response_headers["x-portcullis-decision"] = "d-9"
    event = only(message)
    assert (event.outcome, event.session, event.subject, event.status) == (outcome, "d-9", "", status)


def test_a_balancers_address_counts_only_where_there_is_no_other() -> None:
    message = StreamAccessLogsMessage()
    entry(message).common_properties.ClearField("downstream_remote_address")
    assert only(message).address == "198.51.100.1"


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_the_address_that_was_judged_by_is_the_one_that_is_logged(namespace: str, effect: str) -> None:
    message = StreamAccessLogsMessage()
    one = entry(message, namespace, decision="d-1", effect=effect)
    one.common_properties.metadata.filter_metadata[namespace].fields["x-forwarded-for"].string_value = "203.0.113.9"
    assert only(message).address == "203.0.113.9"


def test_a_long_path_is_cut_so_that_it_is_not_lost() -> None:
    message = StreamAccessLogsMessage()
    entry(message).request.path = "/" + "a" * 50_000
    batch = access_logs(message.http_logs.log_entry)
    assert cleanse(batch, NOW) == (batch, ())


def test_absurd_numbers_fit_their_columns() -> None:
    message = StreamAccessLogsMessage()
    one = entry(message)
    one.request.request_body_bytes = 2**64 - 1
    one.response.response_code.value = 2**32 - 1
    one.common_properties.start_time.seconds = -(2**63)
    one.request.request_method = 99
    event = only(message)
    assert (event.bytes_in, event.status, event.action) == (2**63 - 1, 32767, "")


def test_an_empty_entry_is_a_row_that_the_door_refuses() -> None:
    message = StreamAccessLogsMessage()
    message.http_logs.log_entry.add()
    _, refused = cleanse(access_logs(message.http_logs.log_entry), NOW)
    assert [part.reason for part in refused] == ["bad_time"]
