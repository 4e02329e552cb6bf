"""What a controller works with: where it looks, what it publishes, and what runs beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sidecar.config import Config
from sidecar.connection import Connection
from sidecar.publication import Targets
from sidecar.sources import ServiceSource, TextSource
from sidecar.threads import Part
from sidecar.trigger import Trigger
from sidecar.watch import Watch
from toolset import render
from toolset.via import KubectlProxy


@dataclass(frozen=True)
class Settings:
    """``probe`` is false where nothing can be asked, as of manifests."""

    source: ServiceSource
    probe: bool
    targets: Targets = field(default_factory=Targets)
    config: TextSource | None = None
    base: TextSource | None = None
    overrides: TextSource | None = None
    cluster_domain: str = "cluster.local"
    holmesgpt: tuple[int, ...] = ()
    """HolmesGPT's version; empty: a current one."""
    sidecar: bool = False
    via: KubectlProxy | None = None
    """How Services are reached from outside of the cluster."""
    progress: Callable[[str], object] = lambda _: None
    """Called with what a pass is at, for a terminal."""
    trigger: Trigger = field(default_factory=Trigger)
    explained: ServiceSource | None = None
    """Where a Service is looked up to be explained, from any thread; None: at ``source``."""
    reviewer: Connection | None = None
    """Who is asked who may use the API; None where nobody can be."""
    leads: Callable[[], bool | None] = lambda: None
    """Whether this process writes the ConfigMaps; None where none are written."""
    leader: Callable[[], str] = lambda: ""
    """Which replica does."""
    parts: tuple[Part, ...] = ()
    """What runs beside the loop, in the order in which it is started."""
    watches: Callable[[], Sequence[Watch]] = tuple
    """What watches besides the source, to be looked after."""
    failures: Callable[[], tuple[str, ...]] = tuple
    """What could not be written since the last pass."""
    written: Callable[[], object] = lambda: None
    """Called when the file changed."""
    wrong_config: Callable[[str], object] = lambda _: None
    """Called with what is wrong with a configuration that is refused."""

    def rendering(self, config: Config) -> render.Settings:
        """What rendering depends on, with this configuration."""
        trusted = frozenset(config.trusted_namespaces)
        return render.Settings(self.cluster_domain, trusted, self.holmesgpt, self.via)
