"""The result of looking at a cluster: what was discovered, and what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from toolset.backend import Backend, Login, ToolsetRule
from toolset.classify import Candidate, Endpoint
from toolset.service import Service


class Status(StrEnum):
    """What is known of a discovered Service. Only these count as discovered."""

    VERIFIED = "verified"
    """It proved what it is and answers the request that HolmesGPT will use as its check."""
    CREDENTIALED = "credentialed"
    """It asks for a login, and the operator bound credentials to it."""
    UNHEALTHY = "unhealthy"
    """It was verified before and fails now."""
    NEEDS_CREDENTIALS = "needs_credentials"
    """It asks for a login that nobody has given."""
    UNPROVEN = "unproven"
    """It was not asked: from manifests, or with proving switched off."""


USABLE = frozenset({Status.VERIFIED, Status.CREDENTIALED, Status.UNHEALTHY, Status.UNPROVEN})
"""Statuses whose Services enter the file that HolmesGPT reads."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """A Service that is a backend.

    ``verify_ssl`` is false only where the certificate was tried and is not signed by a known authority.
    ``credentials`` are what the operator bound to it.
    """

    candidate: Candidate
    endpoint: Endpoint
    status: Status
    verify_ssl: bool = True
    evidence: tuple[str, ...] = ()
    credentials: Mapping[str, str] = field(default_factory=dict)

    @property
    def service(self) -> Service:
        """The Service behind it."""
        return self.candidate.service

    @property
    def backend(self) -> Backend:
        """The catalogue's entry that it proved to be."""
        return self.candidate.backend

    @property
    def toolsets(self) -> tuple[ToolsetRule, ...]:
        """The toolsets that it becomes: those over HTTP only where its endpoint speaks it."""
        login = self.login
        if self.status is Status.CREDENTIALED and login is not None and login.toolsets:
            return login.toolsets
        http = self.endpoint.scheme in {"http", "https"}
        return tuple(rule for rule in self.backend.toolsets if http or rule.type != "http")

    @property
    def login(self) -> Login | None:
        """The way in that the bound credentials are for."""
        credentials = self.backend.credentials
        return credentials.that_needs(self.credentials) if credentials else None

    @property
    def tenant(self) -> str:
        """Whose data is meant, where the backend has tenants and an annotation says it."""
        return self.candidate.wishes.tenant if self.backend.tenant else ""

    @property
    def type(self) -> str:
        """The backend's name, or the custom type that an annotation gave."""
        return self.candidate.type


@dataclass(frozen=True, slots=True)
class Skipped:
    """A Service that something spoke for and that was left out."""

    namespace: str
    name: str
    reason: str
    limited: bool = False
    """Whether it is left out by a limit alone (:mod:`toolset.limits`)."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """One look at a cluster, sorted by namespace and name."""

    discovered: tuple[Discovered, ...] = ()
    skipped: tuple[Skipped, ...] = ()
