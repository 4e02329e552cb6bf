"""Keeps what the guard stands on: the certificate that is served, its registration, and the configuration.

One thread looks at all three every few seconds. A new certificate is announced first, by the
``caBundle``, and served a little later, so that no handshake ever fails.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time

import urllib3

from toolset.credentials import allowed_env_of
from toolset.names import CONFIG
from toolset.yaml_source import YamlError
from webhook import certificates, tls
from webhook.apiserver import ApiError, ApiServer
from webhook.certificates import CertificateError, Pair
from webhook.config import Config
from webhook.metrics import Metrics
from webhook.registration import Registration, bundle_of
from webhook.rollout import Rollout
from webhook.store import Store

log = logging.getLogger(__name__)

HURRY_SECONDS = 0.5
"""Between looks until all is well for the first time, and while a certificate waits to be served."""

FRESH_SECONDS = 1.0
"""A configuration that was read less than this ago is not read again for a review."""


class Wishes:
    """What of the service's configuration matters here; read through the API."""

    def __init__(self, api: ApiServer | None, namespace: str) -> None:
        self.allowed_env: frozenset[str] | None = None
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/configmaps/{CONFIG}" if namespace else ""
        self._read = 0.0
        self._problem = ""

    def refresh(self, older_than: float = FRESH_SECONDS) -> bool:
        """Reads it unless that was just done; whether it changed. Never raises: the last good one stays."""
        if self._api is None or not self._path or time.monotonic() - self._read < older_than:
            return False
        before, self._read = self.allowed_env, time.monotonic()
        try:
            obj = self._api.get(self._path) or {}
            self.allowed_env = allowed_env_of((obj.get("data") or {}).get("config.yaml") or "")
            self._problem = ""
        except (ApiError, YamlError) as error:
            if str(error) != self._problem:
                log.error("the service's configuration is not used, the last good one stays: %s", error)
            self._problem = str(error)
        return self.allowed_env != before


class Upkeep:
    """The state that reviews and probes read; written by its own thread alone."""

    def __init__(
        self,
        config: Config,
        store: Store,
        registration: Registration | None,
        wishes: Wishes,
        metrics: Metrics,
        host: str,
        rollout: Rollout | None = None,
    ) -> None:
        self._rollout = rollout
        self._config = config
        self._store = store
        self._registration = registration
        self._wishes = wishes
        self._metrics = metrics
        self._host = host
        self._served: Pair | None = None
        self._announced: tuple[Pair, float] | None = None
        self._trusted_since: float | None = None
        self._trust = "nothing is served yet"
        self._failure = ""
        self._began = self._turned = time.monotonic()
        self._ending = threading.Event()
        # So that probes are answered from the start; nobody trusts it.
        self.context: ssl.SSLContext = tls.context_of(_placeholder(host))

    @property
    def allowed_env(self) -> frozenset[str] | None:
        """The variables that texts may name; None: any."""
        return self._wishes.allowed_env

    def refresh(self) -> bool:
        """Reads the configuration anew unless that was just done; whether it changed."""
        return self._wishes.refresh()

    @property
    def unready(self) -> str:
        """Why the API server should not come here; empty when it should."""
        return "shutting down" if self._ending.is_set() else self._trust

    @property
    def alive(self) -> bool:
        """Whether the thread turns, or ended because it should."""
        limit = 6 * self._config.certificate.check_interval.total_seconds() + 60
        return self._ending.is_set() or time.monotonic() - self._turned < limit

    def run(self) -> None:
        """Looks again and again, until :meth:`end`; then takes back what is this process' alone."""
        while not self._ending.is_set():
            self.look()
            hurry = self._trust or self._announced or self._failure
            pause = self._config.certificate.check_interval.total_seconds()
            self._ending.wait(min(HURRY_SECONDS, pause) if hurry else pause)
        if self._registration and self._registration.target.own:
            try:
                self._registration.withdraw()
            except ApiError as error:
                log.error("the registration stays behind: %s", error)

    def end(self) -> None:
        """Not ready from now on; :meth:`run` returns."""
        self._ending.set()

    def look(self) -> None:
        """Once over everything. Never raises: what works goes on."""
        self._turned = time.monotonic()
        try:
            self._wishes.refresh(older_than=0)
            self._look()
        except (ApiError, CertificateError) as error:
            self._failed(str(error))
        except Exception:
            log.exception("the upkeep failed: a bug, please report it")
            self._failed("a bug")
        else:
            if self._failure:
                log.info("certificate and registration are well again")
            self._failure = ""
            self._metrics.rounds.labels("success").inc()

    def _failed(self, message: str) -> None:
        if message != self._failure:
            log.error("certificate and registration: %s; tried again", message)
        self._failure = message
        self._metrics.rounds.labels("failed").inc()
        if self._served is None:
            self._trust = message

    def _look(self) -> None:
        pair = self._store.load(certificates.now())
        registered = self._registration.read() if self._registration else []
        bundle = certificates.bundle(pair.authorities, bundle_of(registered), certificates.now())
        if self._served is None:
            self._serve(pair)
        if self._registration and (registered or self._reachable(bundle)):
            registered = self._registration.ensure(registered, bundle)
            bundle = bundle_of(registered)
        self._switch(pair, bundle)
        self._trust = tls.why_distrusted(self.context, bundle, self._host)
        # Until it is registered a pod must be ready, or its Service would never lead to it.
        trusted = not self._trust and (not self._registration or self._registration.complete(registered))
        self._metrics.trusted.set(trusted)
        self._restart(trusted)

    def _restart(self, trusted: bool) -> None:
        """Once every API server knows the registration: a pod made before would be without sidecar again."""
        if not trusted or not self._rollout:
            self._trusted_since = None
            return
        if self._trusted_since is None:
            self._trusted_since = time.monotonic()
        if time.monotonic() - self._trusted_since >= self._config.certificate.settle.total_seconds():
            self._rollout.restart_once(certificates.now())

    def _switch(self, pair: Pair, bundle: bytes) -> None:
        """Serves a new pair as soon as every API server knows its authority, or none trusts the old one."""
        if pair == self._served:
            self._announced = None
            return
        if self._announced is None or self._announced[0] != pair:
            self._announced = (pair, time.monotonic())
        waited = time.monotonic() - self._announced[1]
        settled = waited >= self._config.certificate.settle.total_seconds()
        if settled or tls.why_distrusted(self.context, bundle, self._host):
            self._serve(pair)
            self._announced = None

    def _serve(self, pair: Pair) -> None:
        self.context = tls.context_of(pair)
        self._served = pair
        ends = pair.certificate.not_valid_after_utc
        self._metrics.certificate_expiry.set(ends.timestamp())
        log.info("serving a certificate that ends %s", ends.isoformat())

    def _reachable(self, bundle: bytes) -> bool:
        """Whether the API server's way leads to a guard; after a while it is taken for granted."""
        assert self._registration is not None  # noqa: S101 - asked by who has it
        if time.monotonic() - self._began > self._config.patience.total_seconds():
            log.warning("%s does not lead here yet; registered all the same", self._registration.target.probe)
            return True
        context = ssl.create_default_context(cadata=bundle.decode("ascii"))
        try:
            with urllib3.PoolManager(ssl_context=context, retries=False, timeout=1) as pool:
                return pool.request("GET", self._registration.target.probe).status == 200  # noqa: PLR2004
        except (urllib3.exceptions.HTTPError, OSError):
            return False


def _placeholder(host: str) -> Pair:
    """A pair that nobody trusts."""
    lifetimes = certificates.Lifetimes()
    return certificates.read(certificates.renewed({}, [host], certificates.now(), lifetimes) or {})
