"""Others behind the corpus' Services: every port of every Service answered by one and the same server.

Whatever a Service is called, what answers there is what it is; so nothing may be verified that is not that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tests.corpus import proven
from tests.corpus.recordings import Voice
from tests.corpus.score import Record
from tests.corpus.standins import SILENT, voice
from toolset.discovered import Status

AS = {
    "grafana documented 1": "grafana",
    "node_exporter v1.5.0-debian": "",
    "node_exporter v1.12.1-go": "",
    "blackbox_exporter v0.23.0-debian": "",
    "prometheus v3.16-agent": "",
    "prometheus v2.42-agent": "",
    "pushgateway v1.5.1-debian": "",
    "vmagent v1.151.0": "",
    "vmalert v1.151.0": "",
    "thanos v0.42.0-sidecar": "",
    "thanos v0.42.0-rule": "",
    "mimir v3.1-dev-target-distributor": "",
    "jaeger v1.76-admin-14269": "",
    "impostor-spa": "",
    "impostor-json200": "",
    "impostor-exporter": "",
    "impostor-oauth302": "",
    "impostor-basic401": "",
    "impostor-banner": "",
    "impostor-echo": "",
    "kube-apiserver": "",
    "minio-console": "",
    "nginx-502": "",
    SILENT: "",
}
"""Who stands there, and what he may be found to be."""


WORST = (
    "grafana documented 1",
    "node_exporter v1.5.0-debian",
    "prometheus v3.16-agent",
    "impostor-json200",
    "impostor-echo",
)
"""Those that come nearest to something."""


def let_in(records: Iterable[Record], who: str) -> Iterator[str]:
    """What is verified, and is not what stands there."""
    spoken = Voice(SILENT) if who == SILENT else voice(who)

    def everywhere(record: Record) -> Mapping[int, Voice | None]:
        return {port["port"]: spoken for port in record["service"]["spec"].get("ports", [])}

    for cluster, discovery in proven.discoveries(
        records, everywhere, 0.05 if who == SILENT else proven.TIMEOUT
    ):
        for found in discovery.discovered:
            if found.status is Status.VERIFIED and found.type != AS[who]:
                yield f"{cluster}/{found.service.key} as {found.type}"
