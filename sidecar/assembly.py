"""Puts a controller's surroundings together: of manifests, of a cluster to look at once, or to follow."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.cluster import Cluster, Resource
from sidecar.config import WRITTEN_OUT
from sidecar.config_maps import ConfigMaps
from sidecar.connection import JsonObject
from sidecar.events import ACCOUNT, Recorder, config_map, deployment
from sidecar.generated import Generated
from sidecar.holmes import Refresher
from sidecar.leader import Election
from sidecar.live import LiveSource
from sidecar.metrics import Metrics
from sidecar.publication import Targets
from sidecar.reconcile import Once, Reconciler
from sidecar.settings import Settings
from sidecar.sources import (
    ClusterSource,
    ConfigMapText,
    FileText,
    ManifestSource,
    TextSource,
)
from sidecar.store import Store
from sidecar.threads import Part
from sidecar.watch import Watch
from toolset.names import CONFIG, GENERATED, OVERRIDES, OVERRIDES_KEY
from toolset.via import KubectlProxy

UNNAMED = "somebody (fields of ours were removed, which leaves no manager's name)"
"""Kubernetes: Server-Side Apply. A manager is recorded for fields that are there."""


@dataclass(frozen=True)
class Wanted:
    """What the command line and the environment ask for."""

    config: Path | None = None
    base: Path | None = None
    toolset_file: Path | None = None
    cluster_domain: str = "cluster.local"
    probe: bool = True
    sidecar: bool = False
    namespace: str = ""
    """The service's own; without one no ConfigMap is read or written."""
    config_maps: bool = True
    """Whether the generated ConfigMaps are written, where there is a namespace."""
    holmesgpt_namespace: str = ""
    """Where HolmesGPT runs: gets a ConfigMap that holds everything, too."""
    holmesgpt_url: str = ""
    holmesgpt_version: tuple[int, ...] = ()
    """Empty: a current one."""
    deployment: str = ""
    """The service's own Deployment, whose annotations prompt a pass."""
    progress: Callable[[str], object] = lambda _: None
    via: KubectlProxy | None = None
    """How Services are reached from outside of the cluster."""
    looks_only: bool = False
    """Whether nothing at all is written, not even a configuration where there is none."""

    @property
    def writes_config_maps(self) -> bool:
        """Whether there are ConfigMaps to write."""
        return bool(self.namespace) and self.config_maps

    @property
    def whole(self) -> tuple[str, ...]:
        """Namespaces whose ConfigMap holds everything."""
        named = dict.fromkeys((self.namespace, self.holmesgpt_namespace))
        return tuple(namespace for namespace in named if namespace)


def of_manifests(path: str, wanted: Wanted) -> Settings:
    """Services of manifests; they cannot be asked."""
    targets = Targets(wanted.toolset_file)
    # One to explain by, since reading takes note of what changed.
    explained = ManifestSource(path) if path != "-" else None
    settings = Settings(
        ManifestSource(path), False, targets, config=_config_file(wanted), explained=explained
    )
    return _common(settings, wanted)


def at_once(cluster: Cluster, wanted: Wanted, metrics: Metrics, *, publish: bool) -> Settings:
    """A cluster to look at once, with nothing running beside; ``publish`` also its ConfigMaps."""
    writes = wanted.writes_config_maps and publish
    maps = Once(cluster, ConfigMaps(cluster, metrics.configmap_updates)) if writes else None
    config, overrides = _texts(cluster, wanted)
    return _common(
        Settings(
            ClusterSource(cluster, tells=writes),
            wanted.probe,
            Targets(wanted.toolset_file, maps, wanted.whole if writes else ()),
            config=_config_file(wanted) or config,
            overrides=overrides,
        ),
        wanted,
    )


def to_follow(cluster: Cluster, wanted: Wanted, metrics: Metrics) -> Settings:
    """A cluster to follow: watched, and written to by whoever leads."""
    settings = at_once(cluster, wanted, metrics, publish=False)
    trigger = settings.trigger

    def restarted(plural: str) -> None:
        metrics.watch_restarts.labels(plural).inc()

    listing = ClusterSource(cluster, tells=wanted.writes_config_maps)
    source = LiveSource(cluster, listing, domain=wanted.cluster_domain, restarted=restarted)
    parts: list[Part] = [
        text.watched(changed=trigger.wake, restarted=lambda: restarted("configmaps"))
        for text in (settings.config, settings.overrides)
        if isinstance(text, ConfigMapText)
    ]
    if wanted.holmesgpt_url:
        refresher = Refresher(wanted.holmesgpt_url, metrics.holmes_refreshes)
        parts.append(refresher)
        settings = replace(settings, written=refresher.poke)
    # Without an identity of its own a sidecar is HolmesGPT, which is nobody to judge who may use the API.
    reviewer = None if wanted.sidecar and not wanted.config_maps else cluster
    settings = replace(settings, source=source, explained=settings.source, reviewer=reviewer)
    if not wanted.writes_config_maps:
        return replace(settings, parts=tuple(parts))
    recorder = Recorder(cluster)
    if wanted.deployment:
        parts.append(_own_deployment(cluster, wanted, lambda: trigger.pull(whole=True)))
    reconciler = _reconciler(cluster, wanted, metrics, recorder, trigger.wake)
    parts += [recorder, reconciler.election, reconciler]

    def wrong_config(problem: str) -> None:
        about = config_map(wanted.namespace, CONFIG)
        recorder.record(
            about, "Warning", "InvalidConfiguration", f"not used, the last good one stays: {problem}"
        )

    return replace(
        settings,
        targets=Targets(wanted.toolset_file, reconciler, wanted.whole),
        parts=tuple(parts),
        watches=lambda: [*(part for part in parts if isinstance(part, Watch)), *reconciler.watches()],
        failures=lambda: reconciler.failures,
        leads=lambda: reconciler.election.leads,
        leader=lambda: reconciler.election.holder,
        wrong_config=wrong_config,
    )


def _common(settings: Settings, wanted: Wanted) -> Settings:
    return replace(
        settings,
        base=FileText(wanted.base) if wanted.base else None,
        cluster_domain=wanted.cluster_domain,
        holmesgpt=wanted.holmesgpt_version,
        sidecar=wanted.sidecar,
        via=wanted.via,
        progress=wanted.progress,
    )


def _config_file(wanted: Wanted) -> TextSource | None:
    return FileText(wanted.config, required=True) if wanted.config else None


def _texts(cluster: Cluster, wanted: Wanted) -> tuple[ConfigMapText | None, ConfigMapText | None]:
    namespace = wanted.namespace
    if not namespace:
        return None, None
    return (
        ConfigMapText(cluster, namespace, CONFIG, "config.yaml", "" if wanted.looks_only else WRITTEN_OUT),
        ConfigMapText(cluster, namespace, OVERRIDES, OVERRIDES_KEY),
    )


def _reconciler(
    cluster: Cluster, wanted: Wanted, metrics: Metrics, recorder: Recorder, wake: Callable[[], object]
) -> Reconciler:
    def drift(existing: Generated | None, namespace: str, action: str, done: str) -> None:
        metrics.drift.labels(action).inc()
        about = config_map(namespace, GENERATED, existing.uid if existing else "")
        who = (existing and existing.touched_by) or UNNAMED
        what = f"was changed by {who}" if existing else "was deleted"
        message = f"configmap {namespace}/{GENERATED} {what}, and {done} by {ACCOUNT}"
        recorder.record(about, "Warning", f"Drift{action.capitalize()}", message)

    def failed(why: str) -> None:
        # About the service and not the ConfigMap, which may not be there, nor its namespace for long.
        about = config_map(wanted.namespace, CONFIG)
        if wanted.deployment:
            about = deployment(wanted.namespace, wanted.deployment)
        recorder.record(about, "Warning", "NotWritten", f"configmap {why}")

    def led() -> None:
        metrics.leader.set(election.leads)
        reconciler.wake()

    election = Election(cluster, wanted.namespace, _identity(), changed=led)
    reconciler = Reconciler(
        cluster,
        ConfigMaps(cluster, metrics.configmap_updates, drift),
        election,
        restarted=metrics.watch_restarts.labels("configmaps").inc,
        changed=wake,
        failed=failed,
    )
    return reconciler


def _own_deployment(cluster: Cluster, wanted: Wanted, changed: Callable[[], object]) -> Watch:
    """``kubectl annotate deployment …`` prompts a pass (runbook, scenario 2)."""

    def annotations(obj: JsonObject) -> dict[str, str]:
        said = obj["metadata"].get("annotations") or {}
        # Written by Kubernetes itself at every rollout.
        return {key: value for key, value in said.items() if not key.startswith("deployment.kubernetes.io/")}

    resource = Resource.named("deployments", wanted.deployment, wanted.namespace, "apps/v1")
    return Watch(cluster, resource, Store(annotations), changed=changed, tells_first=False)


def _identity() -> str:
    """Of this process among the replicas: a pod's name is its own; elsewhere several may share a machine."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
