"""Hold a `bank.Ledger/Watch` stream open through the edge and tell each statement, and the end, as a line of JSON.

A process of its own, because a gRPC channel opens its sockets in threads of its own: here the whole process is moved
into the caller's network namespace first. The token comes on standard input, so that no process list shows it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from deploy.demo import sandbox


def main() -> None:
    """Read the token, watch, tell."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--edge", required=True, help="host:port")
    options.add_argument("--ca", type=Path, required=True)
    options.add_argument("--account", required=True)
    options.add_argument("--netns", type=Path)
    chosen = options.parse_args()
    if chosen.netns:
        sandbox.enter_netns(chosen.netns)
    watch(chosen.edge, chosen.ca.read_bytes(), chosen.account, sys.stdin.readline().strip())


def watch(edge: str, authority: bytes, account: str, token: str) -> None:
    """Tell `{"sequence", "time"}` for each statement and `{"ended", "code", "words"}` at the end."""
    import grpc  # only now: its threads must start in the namespace

    from deploy.demo import bank_pb2, bank_pb2_grpc

    credentials = grpc.ssl_channel_credentials(authority)
    names = (("grpc.ssl_target_name_override", "bank.example"), ("grpc.enable_retries", 0))
    with grpc.secure_channel(edge, credentials, names) as channel:
        ledger = bank_pb2_grpc.LedgerStub(channel)  # type: ignore[no-untyped-call]
        request = bank_pb2.AccountRequest(account=account)
        try:
            for statement in ledger.Watch(request, metadata=(("authorization", f"Bearer {token}"),)):
                _tell({"sequence": statement.sequence, "time": time.time()})
            _tell({"ended": time.time(), "code": "OK", "words": ""})
        except grpc.RpcError as error:
            _tell({"ended": time.time(), "code": error.code().name, "words": error.details() or ""})


def _tell(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
