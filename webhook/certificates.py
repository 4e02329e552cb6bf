"""The guard's own certificates: an authority, and what it signs. Made here, stored elsewhere.

EC P-256, which every API server speaks. Renewal is due at two thirds of a life, by wall clock: timers
stop while a container is frozen.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE, KEY, AUTHORITY, AUTHORITY_KEY = "tls.crt", "tls.key", "ca.crt", "ca.key"
"""Keys of the Secret: the first three as cert-manager and ``kubectl create secret tls`` name them."""

SKEW = timedelta(minutes=5)
"""Certificates begin this much earlier: clocks differ."""

Files = Mapping[str, bytes]


class CertificateError(Exception):
    """A certificate that cannot be used; the message says why."""


@dataclass(frozen=True)
class Lifetimes:
    """How long what we make is good; the second must be the longer."""

    certificate: timedelta = timedelta(days=30)
    authority: timedelta = timedelta(days=365)


@dataclass(frozen=True)
class Pair:
    """A certificate chain with its key, as PEM, and the authorities that vouch for it, newest first."""

    chain: bytes
    key: bytes
    authorities: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """The one that is served, which is the first of the chain."""
        return x509.load_pem_x509_certificates(self.chain)[0]

    @property
    def issuer(self) -> x509.Certificate | None:
        """The authority that signed it; None where an intermediate did."""
        return next((ca for ca in self.authorities if _signed(self.certificate, ca)), None)


def read(files: Files) -> Pair:
    """What a Secret holds.

    Raises:
        CertificateError: something is missing, no PEM, or key and certificate are not of each other.
    """
    missing = [name for name in (CERTIFICATE, KEY) if not files.get(name)]
    if missing:
        raise CertificateError(f"{' and '.join(missing)} missing")
    try:
        chain = x509.load_pem_x509_certificates(files[CERTIFICATE])
        key = serialization.load_pem_private_key(files[KEY], None)
        # A self-signed certificate vouches for itself.
        authorities = x509.load_pem_x509_certificates(files.get(AUTHORITY) or files[CERTIFICATE])
    except (ValueError, TypeError) as error:
        raise CertificateError(f"no certificate or key in PEM: {error}") from error
    if chain[0].public_key() != key.public_key():
        raise CertificateError("the key is not the certificate's")
    return Pair(files[CERTIFICATE], files[KEY], tuple(authorities))


def renewed(files: Files, hosts: Sequence[str], now: datetime, lifetimes: Lifetimes) -> Files | None:
    """What the Secret should hold from now on; None where it is good as it is.

    The authorities that are still good stay beside a new one, so that what the old ones signed is
    trusted until it is replaced everywhere.
    """
    authorities = [ca for ca in _readable(files.get(AUTHORITY)) if ca.not_valid_after_utc > now]
    key = _readable_key(files.get(AUTHORITY_KEY))
    try:
        pair = read(files)
    except CertificateError:
        pair = None
    usable = authorities and key and authorities[0].public_key() == key.public_key()
    if not usable or _due(authorities[0], now):
        key = ec.generate_private_key(ec.SECP256R1())
        authorities.insert(0, _authority(key, now, lifetimes.authority))
    elif pair and pair.issuer == authorities[0] and _fits(pair.certificate, hosts, now):
        return None
    assert key is not None  # noqa: S101 - made above where there was none
    certificate, own_key = _issue(authorities[0], key, hosts, now, lifetimes.certificate)
    return {
        CERTIFICATE: _pem([certificate]),
        KEY: _key_pem(own_key),
        AUTHORITY: _pem(authorities),
        AUTHORITY_KEY: _key_pem(key),
    }


def bundle(authorities: Iterable[x509.Certificate], registered: bytes, now: datetime) -> bytes:
    """The ``caBundle`` that trusts these, and keeps those registered before that have not ended yet.

    Of several replicas some may still serve what an older authority signed.
    """
    kept = [ca for ca in (*authorities, *_readable(registered)) if ca.not_valid_after_utc > now]
    unique = {ca.fingerprint(hashes.SHA256()): ca for ca in kept}
    return _pem(unique[fingerprint] for fingerprint in sorted(unique))


def _fits(certificate: x509.Certificate, hosts: Sequence[str], now: datetime) -> bool:
    return not _due(certificate, now) and _names(certificate) == _general_names(hosts)


def _due(certificate: x509.Certificate, now: datetime) -> bool:
    start, end = certificate.not_valid_before_utc + SKEW, certificate.not_valid_after_utc
    return now >= start + (end - start) * 2 / 3


def _authority(key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta) -> x509.Certificate:
    # The name differs each time, so that a verifier never tries the wrong one of two.
    name = _name(f"kubernaut-toolset-webhook {now:%Y-%m-%dT%H:%M:%SZ} {x509.random_serial_number():x}"[:64])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, name, key.public_key(), now, now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def _issue(
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    hosts: Sequence[str],
    now: datetime,
    life: timedelta,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    own = ec.generate_private_key(ec.SECP256R1())
    end = min(now + life, authority.not_valid_after_utc)
    builder = (
        _builder(_name("kubernaut-toolset-webhook"), authority.subject, own.public_key(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(sorted(_general_names(hosts), key=str)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()), own


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(end)
    )


def _usage(**used: bool) -> x509.KeyUsage:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: used.get(name, False) for name in every.split()})


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_names(hosts: Sequence[str]) -> frozenset[x509.GeneralName]:
    names: set[x509.GeneralName] = set()
    for host in hosts:
        try:
            names.add(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.add(x509.DNSName(host))
    return frozenset(names)


def _names(certificate: x509.Certificate) -> frozenset[x509.GeneralName]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(found.value)


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _readable(pem: bytes | None) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem) if pem else []
    except ValueError:
        return []


def _readable_key(pem: bytes | None) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(pem, None) if pem else None
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(ca.public_bytes(serialization.Encoding.PEM) for ca in certificates)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def now() -> datetime:
    """Wall-clock time, in whole seconds as certificates have it."""
    return datetime.now(UTC).replace(microsecond=0)
