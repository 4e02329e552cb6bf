"""The TLS side of the server: one context, replaced in one step, never half."""

from __future__ import annotations

import os
import ssl
import tempfile

from webhook.certificates import CertificateError, Pair


def context_of(pair: Pair) -> ssl.SSLContext:
    """A server's context, TLS 1.2 or newer.

    Raises:
        CertificateError: OpenSSL does not take the pair.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The ssl module reads files alone. The key is on disk, or in a pod in memory, for a moment.
    directory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - tempfile makes 0600
    with tempfile.NamedTemporaryFile(dir=directory, suffix=".pem") as file:
        file.write(pair.chain.rstrip() + b"\n" + pair.key)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except (ssl.SSLError, OSError) as error:
            raise CertificateError(f"OpenSSL does not take it: {error}") from error
    return context


def why_distrusted(server: ssl.SSLContext, authorities: bytes, host: str) -> str:
    """Why a client that trusts ``authorities`` would refuse the server; empty when it would not.

    A real handshake, in memory: it sees what a client would, dates and names included.
    """
    try:
        client = ssl.create_default_context(cadata=authorities.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        return f"the caBundle is not understood: {error}"
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        # Each may wait for the other twice (RFC 8446, figure 1; RFC 5246, figure 1).
        for _ in range(4):
            ends = [end for end in ends if not _shaken(end)]
    except ssl.SSLError as error:
        return str(getattr(error, "verify_message", "") or error.reason or error)
    return "the handshake does not end" if ends else ""


def _shaken(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
