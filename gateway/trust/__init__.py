"""What TLS and the verification of workloads stand on, kept current: the edge's certificate, the authorities of its
clients and what they revoked, and the bundle of each trust domain, from files that are *watched* and from *agents* that
speak the Workload API.
"""

from gateway.trust.trust import Trust

__all__ = ["Trust"]
