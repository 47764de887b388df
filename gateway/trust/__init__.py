"""What TLS and the verification of workloads stand on, kept current: the edge's certificate, the authorities of its
clients and what they revoked, and the bundle of each trust domain, from files that are *watched* and from *agents* that
speak the Workload API; and for the other side of the edge, its *upstreams*, who vouches for the services behind it.
"""

from gateway.trust.trust import Trust
from gateway.trust.upstreams import Upstreams

__all__ = ["Trust", "Upstreams"]
