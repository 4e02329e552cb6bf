"""What in overrides is legal and yet worth a word to who writes it: the cure is a look, not a refusal."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from toolset.documents import ENV, SECTIONS, walk
from toolset.yaml_source import Document, dotted

_LOCAL = ("localhost", ".svc", ".cluster.local")


def risks(document: Document) -> list[str]:
    """One sentence each, naming the path."""
    data = document.data
    if not isinstance(data, Mapping):
        return []
    found = []
    for section in SECTIONS:
        entries = data.get(section)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            if isinstance(entry, Mapping) and entry.get("enabled") is not False:
                found += [f"{dotted((section, name))}: {risk}" for risk in _entry(name, entry)]
    return found


def _entry(name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    texts = [value for _, value in walk(entry, ()) if isinstance(value, str)]
    secret = any(ENV.search(text) for text in texts)
    for text in texts:
        scheme, host = _target(text)
        if host and not _in_cluster(host):
            yield f"HolmesGPT will talk to {host:.80}, which is not in the cluster"
        if scheme == "http" and secret:
            yield "a credential goes over plain http"
    if secret and any(path[-1] == "verify_ssl" and value is False for path, value in walk(entry, ())):
        yield "a credential goes over TLS whose certificate is not verified"
    if entry.get("llm_instructions"):
        yield "llm_instructions reach the LLM word for word"
    if name == "bash" and entry.get("config"):
        yield "changes which commands the LLM may run"


def _target(text: str) -> tuple[str, str]:
    """Scheme and host of a URL; empty where the text is none."""
    try:
        url = urlsplit(text)
        host = url.hostname or ""
    except ValueError:
        return "", ""
    return (url.scheme, host) if url.scheme in {"http", "https"} else ("", "")


def _in_cluster(host: str) -> bool:
    """By its name, or a private address (RFC 1918, RFC 4193); never a link-local one (cloud metadata)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL)
    return address.is_private and not address.is_link_local
