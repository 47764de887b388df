"""An authority for the gateway and its lines, of the benchmark's own making."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_GATEWAY = "gateway"


class Authority:
    """Certificates in one folder, ECDSA with P-256, good for a day: the gateway's, and one for each line."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o755)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
        basic = x509.BasicConstraints(ca=True, path_length=0)
        signed = (
            self._builder(self._name, self._key).add_extension(basic, critical=True).sign(self._key, hashes.SHA256())
        )
        self.certificate = folder / "authority.pem"
        self.certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        self._issue(_GATEWAY, x509.IPAddress(IPv4Address("127.0.0.1")))

    @property
    def gateway(self) -> tuple[Path, Path]:
        """Certificate and key, good for 127.0.0.1."""
        return of(self.folder, _GATEWAY)

    def line(self, name: str) -> None:
        """Give a line its certificate."""
        self._issue(name, x509.DNSName(name))

    def _issue(self, name: str, alternative: x509.GeneralName) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([alternative])
        signed = self._builder(subject, key).add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        certificate, private = of(self.folder, name)
        certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        private.chmod(0o644)  # the gateway may run as another user

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )


def of(folder: Path, name: str) -> tuple[Path, Path]:
    """Where somebody's certificate and key are."""
    return folder / f"{name}.pem", folder / f"{name}.key"
