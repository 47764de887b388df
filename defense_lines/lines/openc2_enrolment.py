"""Enrol an OpenC2 consumer: `python -m defense_lines.lines.openc2_enrolment KEY DEVICE > FILE`.

KEY is the gateway's signing key (`lines.openc2.signing_key`), made if there is none. FILE holds a secret: it goes to
that consumer's host, mode 0600, by a way that is not the broker.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from defense_lines.agent.openc2_seal import enrol
from defense_lines.ledger.head import new_key, read_key, write_key


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs commands (PEM, mode 0600), made on first use. Raises OSError, ValueError."""
    if not path.exists():
        write_key(new_key(), path, path.with_suffix(".pub"))
    return read_key(path)


def main() -> int:
    """Write one enrolment to standard output; 1 if the key cannot be had."""
    parser = argparse.ArgumentParser(prog="portcullis-openc2-enrolment", description=__doc__)
    parser.add_argument("key", type=Path)
    parser.add_argument("device")
    arguments = parser.parse_args()
    try:
        made = enrol(signing_key(arguments.key), arguments.device)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"OpenC2 enrolment: {error}\n")
        return 1
    sys.stdout.write(msgspec.json.encode(made).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
