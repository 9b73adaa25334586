"""Certificate for the table server, and what functions trust: its authority beside those that they read on AWS."""

import datetime
import ipaddress
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tools.benchmarks.machine import ROOT

AMAZON_ROOTS = ROOT / "layers/shared/serverless_api/storage/amazon_roots.pem"
TRUSTED_BY_PROJECT = ROOT / ".bench/cold_start/project_authorities.pem"
"""What this project trusts in the benchmark: Amazon's roots, as on AWS, and the table server's authority."""


def write_certificate(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that is valid for a day.

    Returns:
        The file with the certificate and its key, and the file with the authorities that boto3 trusts. The latter
        includes the public ones because boto3 reads them at its start.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    text = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server, authorities = directory / "server.pem", directory / "authorities.pem"
    server.write_bytes(text + secret)
    authorities.write_bytes(Path(certifi.where()).read_bytes() + text)
    TRUSTED_BY_PROJECT.write_bytes(AMAZON_ROOTS.read_bytes() + text)
    return server, authorities
