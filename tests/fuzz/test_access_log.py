from envoy.data.accesslog.v3.accesslog_pb2 import HTTPAccessLogEntry
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from telemetry import EventBatch, access_logs, cleanse


def good() -> bytes:
    entry = HTTPAccessLogEntry()
    common = entry.common_properties
    common.start_time.seconds = 1
    common.downstream_direct_remote_address.socket_address.address = "10.0.0.1"
    common.metadata.filter_metadata["envoy.filters.http.ext_authz"].fields["x-portcullis-decision"].string_value = "d"
    entry.request.path = "/a?b"
    entry.response.response_code.value = 200
    data: bytes = entry.SerializeToString()
    return data


GOOD = good()


@given(st.integers(0, len(GOOD)), st.binary(max_size=8))
def test_any_message_that_decodes(at: int, damage: bytes) -> None:
    """Whatever protobuf accepts becomes a row that the door can judge, or is refused by protobuf; nothing raises."""
    for data in (damage, GOOD[:at] + damage + GOOD[at:], GOOD[:at] + damage + GOOD[at + len(damage) :]):
        try:
            entry = HTTPAccessLogEntry.FromString(data)
        except DecodeError:
            continue
        batch = access_logs([entry])
        assert len(batch) == 1
        cleanse(EventBatch.from_bytes(batch.to_bytes()), now=1.0)


numbers = st.integers(0, 2**64 - 1)


@given(numbers, numbers, st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_any_numbers(size: int, more: int, status: int, seconds: int, enum: int) -> None:
    """Any numbers of the message's own types fit the columns."""
    entry = HTTPAccessLogEntry()
    entry.request.request_headers_bytes, entry.request.request_body_bytes = size, more
    entry.response.response_headers_bytes, entry.response.response_body_bytes = more, size
    entry.response.response_code.value = status
    entry.common_properties.start_time.seconds = seconds
    entry.common_properties.time_to_last_downstream_tx_byte.seconds = seconds
    entry.request.request_method = enum
    assert len(access_logs([entry])) == 1


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text(path: str, told: str) -> None:
    """Any path and any metadata become a row that survives the way to another process."""
    entry = HTTPAccessLogEntry()
    entry.request.path = path
    fields = entry.common_properties.metadata.filter_metadata["envoy.filters.http.ext_authz"].fields
    fields["x-portcullis-decision"].string_value = told
    fields["x-portcullis-subject"].number_value = 5
    (event,) = EventBatch.from_bytes(access_logs([entry]).to_bytes()).events()
    assert (event.resource, event.session, event.subject) == (path.partition("?")[0], told, "")
