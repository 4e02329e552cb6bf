"""Which replica writes the ConfigMaps: the holder of a Lease.

The rules are those of client-go's leaderelection: a Lease is taken when its record did not change for its
whole duration *by our own clock*, so that clocks that are apart do no harm, and its holder stops to lead
well before that. The election of the Python client library reads the wall clock, cannot be stopped, has
no timeouts, and does not release its Lease at the end: docs/decisions/0005-own-leader-election.md.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from sidecar.connection import ClusterError, ConflictError, JsonObject
from sidecar.threads import Part

log = logging.getLogger(__name__)

LEASE = "dynamic-toolset-leader"

DURATION_SECONDS = 15
"""How long others wait before they take a Lease that is not renewed."""

RENEW_SECONDS = 10.0
"""Without a renewal for so long, the leader stops to lead: before the others may begin."""

RETRY_SECONDS = 2.0
"""How often it is renewed, or tried to be taken."""


class LeaseClient(Protocol):
    """The part of :class:`~sidecar.cluster.Cluster` that an election needs."""

    def lease(self, namespace: str, name: str) -> JsonObject | None:
        """The Lease, or None."""

    def write_lease(self, lease: JsonObject) -> JsonObject:
        """Creates it, or replaces exactly the one that was read."""


class Election(Part):
    """One candidate, in a thread of its own from :meth:`start` to :meth:`stop`."""

    def __init__(
        self,
        cluster: LeaseClient,
        namespace: str,
        identity: str,
        *,
        changed: Callable[[], object] = lambda: None,
    ) -> None:
        """``changed`` is called when it begins or ends to lead."""
        super().__init__("leader election")
        self.holder = ""
        """Who leads, as far as is known."""
        self._cluster = cluster
        self._namespace = namespace
        self._identity = identity
        self._changed = changed
        self._renewed_at = float("-inf")
        self._observed: Any = None
        self._lapses_at = float("inf")
        self._led = False
        self._problem = ""

    @property
    def leads(self) -> bool:
        """Whether this process may write; to be asked before each write."""
        return not self._stopping.is_set() and time.monotonic() - self._renewed_at < RENEW_SECONDS

    def stop(self) -> None:
        """Stops to lead, and gives the Lease back, so that another need not wait."""
        self._stopping.set()
        self._join(5)
        if self.holder == self._identity:
            try:
                self._release()
            except ClusterError as error:
                log.warning("the Lease %s/%s was not given back: %s", self._namespace, LEASE, error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self.turn())

    def turn(self) -> float:
        """Takes or renews the Lease if that is possible, and tells when something changed. Never raises.

        Returns:
            Seconds until the next turn is due.
        """
        try:
            self._try()
            self._problem = ""
        except ConflictError:
            log.debug("another replica was faster to write the Lease %s/%s", self._namespace, LEASE)
        except ClusterError as error:
            if str(error) != self._problem:
                log.warning("the Lease %s/%s: %s", self._namespace, LEASE, error)
            self._problem = str(error)
        except Exception:
            log.exception("the election failed by a bug, please report it; tried again")
        if self.leads != self._led:
            self._led = self.leads
            words = "leads: it writes the configmaps" if self._led else "leads no more"
            log.info("this replica, %s, %s (Lease %s/%s)", self._identity, words, self._namespace, LEASE)
            self._changed()
        return self._pause()

    def _pause(self) -> float:
        """Jitter keeps replicas apart; but who waits for a Lease to lapse looks when it does."""
        pause = RETRY_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - nothing secret
        left = self._lapses_at - time.monotonic()
        return min(pause, left + 0.01) if self.holder != self._identity and left > 0 else pause

    def _try(self) -> None:
        began = time.monotonic()
        lease = self._cluster.lease(self._namespace, LEASE)
        spec = (lease or {}).get("spec") or {}
        self._observe(spec)
        if self.holder not in {"", self._identity} and began <= self._lapses_at:
            return
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        taken = self.holder != self._identity
        transitions = int(spec.get("leaseTransitions") or 0) + (1 if taken and lease else 0)
        written = self._cluster.write_lease(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": (lease or {}).get("metadata") or {"name": LEASE, "namespace": self._namespace},
                "spec": {
                    "holderIdentity": self._identity,
                    "leaseDurationSeconds": DURATION_SECONDS,
                    "acquireTime": now if taken else spec.get("acquireTime", now),
                    "renewTime": now,
                    "leaseTransitions": transitions,
                },
            }
        )
        # From before the request: the others count from when they see it, which is later.
        self._renewed_at = began
        self._observe(written.get("spec") or {})

    def _observe(self, spec: JsonObject) -> None:
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("acquireTime"))
        if record != self._observed:
            duration = float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)
            self._observed, self._lapses_at = record, time.monotonic() + duration
        self.holder = str(spec.get("holderIdentity") or "")

    def _release(self) -> None:
        lease = self._cluster.lease(self._namespace, LEASE)
        if lease and lease.get("spec", {}).get("holderIdentity") == self._identity:
            lease["spec"] = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
            self._cluster.write_lease(lease)
            log.info("gave the Lease %s/%s back", self._namespace, LEASE)
