"""The guard's own certificates: made, renewed by wall clock, and trusted throughout."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from webhook import tls
from webhook.certificates import (
    AUTHORITY,
    AUTHORITY_KEY,
    CERTIFICATE,
    KEY,
    CertificateError,
    Files,
    Lifetimes,
    bundle,
    now,
    read,
    renewed,
)

HOSTS = ["kubernaut-toolset-webhook.kubernaut-system.svc", "127.0.0.1"]
LIFE = Lifetimes(timedelta(days=30), timedelta(days=365))
NOW = now()


def made(files: Files | None = None, at: datetime = NOW, hosts: list[str] = HOSTS) -> Files:
    new = renewed(files or {}, hosts, at, LIFE)
    assert new is not None
    return new


def authorities(files: Files) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(files[AUTHORITY])


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_made_is_trusted_by_its_authority_for_its_names(host: str) -> None:
    files = made()
    context = tls.context_of(read(files))
    assert tls.why_distrusted(context, files[AUTHORITY], host) == ""
    assert "mismatch" in tls.why_distrusted(context, files[AUTHORITY], "other.example")
    assert tls.why_distrusted(context, made()[AUTHORITY], host)
    assert tls.why_distrusted(context, b"", host)
    assert tls.why_distrusted(context, b"no certificate", host)


def test_nothing_older_than_tls_1_2_is_spoken() -> None:
    assert tls.context_of(read(made())).minimum_version.name == "TLSv1_2"


@pytest.mark.parametrize(
    ("days", "certificate", "authority"),
    [(19, False, False), (21, True, False), (29, True, False), (31, True, False), (244, True, True)],
)
def test_both_are_renewed_at_two_thirds_of_their_lives(days: int, certificate: bool, authority: bool) -> None:
    files = made()
    new = renewed(files, HOSTS, NOW + timedelta(days=days), LIFE)
    assert (new is not None) == certificate
    if new is not None:
        assert new[CERTIFICATE] != files[CERTIFICATE]
        assert (new[AUTHORITY_KEY] != files[AUTHORITY_KEY]) == authority
        assert renewed(new, HOSTS, NOW + timedelta(days=days), LIFE) is None


def test_an_old_authority_stays_until_it_ends() -> None:
    files = made()
    later = made(files, NOW + timedelta(days=250))
    assert len(authorities(later)) == 2
    assert tls.why_distrusted(tls.context_of(read(files)), later[AUTHORITY], HOSTS[0]) == ""
    much_later = made(later, NOW + timedelta(days=380))
    assert len(authorities(much_later)) == 1


def test_no_certificate_outlives_its_authority() -> None:
    files = made()
    late = made({**files, CERTIFICATE: b""}, NOW + timedelta(days=240))
    read_late = read(late)
    assert read_late.issuer is not None
    assert read_late.certificate.not_valid_after_utc <= read_late.issuer.not_valid_after_utc


def test_other_names_need_another_certificate_of_the_same_authority() -> None:
    files = made()
    new = made(files, hosts=["other.svc"])
    assert new[AUTHORITY] == files[AUTHORITY]
    assert tls.why_distrusted(tls.context_of(read(new)), files[AUTHORITY], "other.svc") == ""


@pytest.mark.parametrize("lost", [CERTIFICATE, KEY, AUTHORITY, AUTHORITY_KEY])
@pytest.mark.parametrize("value", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_damaged_is_made_anew(lost: str, value: bytes) -> None:
    new = made({**made(), lost: value})
    assert tls.why_distrusted(tls.context_of(read(new)), new[AUTHORITY], HOSTS[0]) == ""


def test_parts_of_different_certificates_are_no_pair() -> None:
    with pytest.raises(CertificateError, match="key is not the certificate's"):
        read({**made(), KEY: made()[KEY]})
    assert renewed({**made(), KEY: made()[KEY]}, HOSTS, NOW, LIFE) is not None


def test_a_pair_that_is_not_there_says_what_is_missing() -> None:
    with pytest.raises(CertificateError, match=r"tls\.crt and tls\.key missing"):
        read({})


def test_a_bundle_keeps_what_was_registered_and_has_not_ended() -> None:
    old, new = made(), made()
    both = bundle(read(new).authorities, old[AUTHORITY], NOW)
    for files in (old, new):
        assert tls.why_distrusted(tls.context_of(read(files)), both, HOSTS[0]) == ""
    assert bundle(read(old).authorities, both, NOW) == both  # replicas do not undo each other
    assert bundle((), both, NOW + timedelta(days=400)) == b""
    assert bundle(read(new).authorities, b"nonsense", NOW) == new[AUTHORITY]


def test_an_ended_certificate_is_not_trusted() -> None:
    past = datetime.now(UTC).replace(microsecond=0) - timedelta(days=100)
    files = made(at=past)
    assert "expired" in tls.why_distrusted(tls.context_of(read(files)), files[AUTHORITY], HOSTS[0])
