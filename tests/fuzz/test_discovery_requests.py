"""Any bytes on the discovery stream.

Invariant: a message that parses never raises, is answered by at most one push of each type in flight, and never makes a
snapshot count as applied that was not acknowledged under the nonce it was sent with.
"""

from __future__ import annotations

from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge import Snapshot
from gateway.edge.ads import request_of, response_of
from gateway.edge.discovery import Discovery
from gateway.edge.snapshot import ORDER

SNAPSHOT = Snapshot({type_url: {"edge": b""} for type_url in ORDER})
_TEXT = st.text(max_size=20)
_TYPES = st.one_of(st.sampled_from(ORDER), _TEXT)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Something close to a request, or anything at all."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    message = DiscoveryRequest(
        type_url=draw(_TYPES),
        version_info=draw(_TEXT),
        response_nonce="wrong " + draw(_TEXT),
        resource_names=draw(st.lists(_TEXT, max_size=3)),
    )
    if draw(st.booleans()):
        message.error_detail.message = draw(_TEXT)
    return bytes(message.SerializeToString()) + draw(st.binary(max_size=5))


@given(st.lists(messages(), max_size=20))
def test_no_bytes_upset_discovery(stream: list[bytes]) -> None:
    discovery = Discovery()
    discovery.publish(SNAPSHOT)
    discovery.opened(1)
    types = []
    for data in stream:
        try:
            message = DiscoveryRequest.FromString(data)
        except (DecodeError, UnicodeDecodeError):
            continue  # gRPC answers it, the stream never sees it
        for push in discovery.received(1, request_of(message)):
            response_of(push).SerializeToString()
            types.append(push.type_url)
    assert len(types) == len(set(types))
    assert not discovery.applied(SNAPSHOT.version)
    assert discovery.state().rejections == 0
