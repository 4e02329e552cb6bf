"""Who answers behind each port of a Service of the corpus: recorded servers, told apart by workload.

The bytes are those of ``tests/atlas`` (recorded, or documented where a product could not be run); this
module only decides who speaks, from images, arguments, ports, and where the label says that it does: the
prefix and the scheme. What nothing was recorded of answers as a generic server does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from tests.corpus import recordings
from tests.corpus.recordings import BARE_404, Voice
from tests.corpus.score import Record, load

_HTTPS = 443

REFUSED, SILENT = "nobody listens", "never answers"
GENERIC = ("nginx-spa", "impostor-json200", "otel-collector jaeger-v2.13-otlp-http-4318", SILENT, REFUSED)
"""A page for every path, JSON for every path, 404 for every path, silence, and no listener."""


# What is the same in every pod: gossip, gRPC (HTTP/2 closes on HTTP/1), exporters beside the product.
_EVERYWHERE: tuple[tuple[str, str], ...] = (
    (r"mesh|gossip|memberlist|:7946:|grpc|thrift|trft|tchan|:10901:|:9095:", "impostor-closes"),
    (r"reloader|redis-exporter|:(9104|9121|9187|9216|9150|9153|9419):", "node_exporter v1.12.1-go"),
)
# (image, port as NAME:NUMBER:TARGET, who speaks). The first that fits; patterns search.
_SPEAKERS: tuple[tuple[str, str, str], ...] = (
    ("memcached", "", "memcached"),
    ("node-exporter|node_exporter", "", "node_exporter v1.5.0-debian"),
    ("blackbox", "", "blackbox_exporter v0.23.0-debian"),
    ("pushgateway", "", "pushgateway v1.5.1-debian"),
    (
        r"exporter|kube-state-metrics|kminion|metrics-server",
        r"http|metric|export|publish|telemetry",
        "node_exporter v1.12.1-go",
    ),
    ("admission|webhook", "", "kube-apiserver"),
    (r"^kubernetes$", "", "kube-apiserver"),
    (
        r"opentelemetry-collector|otel-collector",
        r":8888:|:8889:",
        "otel-collector jaeger-v2.13-telemetry-8888",
    ),
    (
        r"opentelemetry-collector|otel-collector",
        r":13133:",
        "otel-collector jaeger-v2.13-healthcheck-v1-style-13133",
    ),
    (r"opentelemetry-collector|otel-collector", r":9411:", "x-jaeger-zipkin"),
    (r"opentelemetry-collector|otel-collector", "", "otel-collector jaeger-v2.13-otlp-http-4318"),
    (
        r"operator|controller|(?<!alert)manager|adapter|canary|promtail|alloy|vector|rollouts|keda",
        "",
        "node_exporter v1.12.1-go",
    ),
    ("^jaeger|^all-in-one", r":9411:", "x-jaeger-zipkin"),
    ("^jaeger|^all-in-one", r":14268:", "jaeger v1.76-collector-14268"),
    ("^jaeger|^all-in-one", r":4318:", "jaeger v1.76-otlp-http-14318"),
    ("^jaeger|^all-in-one", r":14269:", "jaeger v1.76-admin-14269"),
    ("^jaeger|^all-in-one", r":8888:|:8889:", "otel-collector jaeger-v2.13-telemetry-8888"),
    ("^jaeger|^all-in-one", r":16686$|:16686:", "jaeger v2.13-query"),
    ("^rabbitmq", r"management|:1567[12]:|http-stats", "rabbitmq-mgmt"),
    ("^rabbitmq", r"prometheus|:1569[12]:", "rabbitmq-prom"),
    ("^rabbitmq", r"amqp", "rabbitmq-amqp"),
    ("^kafka|^redpanda$", r":909[1-4]:|kafka:|client", "kafka"),
    ("^clickhouse-server", r":8123:", "clickhouse"),
    ("^clickhouse-server", "", "clickhouse-native"),
    ("^nats", r":8222:", "nats v2.15.2"),
    ("^nats", r":4222:", "x-nats"),
    ("^minio", r":9001|:9090:|console", "minio-console"),
    ("^minio", "", "minio-api"),
    ("^etcd", "", "etcd"),
    ("^vmselect", r":8481:", "vmselect"),
    ("^vmauth", "", "vmauth before a cluster"),
    ("^vmagent", "", "vmagent v1.151.0"),
    ("^vmalert", "", "vmalert v1.151.0"),
    ("^vm(insert|storage)", "", "vmagent v1.151.0"),
    ("^victoria-metrics", "", "victoriametrics v1.151.0-single"),
    ("^victoria-logs", "", "victorialogs v1.51"),
    ("^argocd", r"server.*|:8080$", "argocd"),
    ("^(kibana|opensearch-dashboards|chronograf|kafka-ui|ui|console)$", "", "nginx-spa"),
    ("^cost-model", r":9090:", "kubecost"),
    ("^cost-model", r":900[345]:", "opencost"),
    ("^opensearch$", r":9200:", "opensearch"),
    ("^elasticsearch$", r":9200:", "elasticsearch"),
    ("^influxdb$", r":8086", "influxdb"),
    ("^signoz$", r":8080:", "signoz"),
    ("^quickwit$", r":7280:", "quickwit"),
    ("^netdata$", "", "netdata"),
    ("^zipkin", "", "zipkin"),
    ("^kiali$", r":20001:", "kiali"),
    ("^kiali$", "", "node_exporter v1.12.1-go"),
    ("mcp", "", "mcp streamable-http, stateful"),
    ("^thanos$", r":10902:", "by role"),
    ("^tempo$", r"zipkin", "x-jaeger-zipkin"),
    ("^tempo$", r"otlp|opencensus", "otel-collector jaeger-v2.13-otlp-http-4318"),
    ("^prometheus$", "", "prometheus"),
    ("^(loki|mimir|tempo|thanos|cortex)$", r"http|:3100:|:3200:|:8080:|:10902:|:9090:", "by role"),
    ("^(mysql|mariadb|percona|proxysql|haproxy|router)", r":3306:|mysql", "mariadb"),
    ("^(postgres|spilo|pgbouncer|postgresql)", r":5432:|postgres", "postgres"),
    ("^(mongo|percona-server-mongodb)", r":27017:|mongo", "mongo-java"),
    ("^(redis|valkey)", r":6379:|redis", "redis"),
    ("^alertmanager", "", "alertmanager v0.34.2-go"),
    ("grafana$|^otel-lgtm", r"grafana|service|http|:3000|:80:", "grafana documented 1"),
)
# Two more names for the kinds that a label gives to a Service whose workload the corpus does not hold.
_BY_KIND = {"postgresql": "postgres", "redis": "redis"}
_QUERIES = {
    "prometheus v3": "prometheus",
    "thanos v0.42.0-query": "thanos",
    "mimir v3.1-dev-target-querier": "mimir",
    "mimir v3.1-dev-multitenancy-on": "mimir tenants",
    "victoriametrics v": "victoriametrics",
    "vmselect": "vmselect",
    "tempo, query": "tempo",
    "grafana documented": "grafana",
    "argocd": "argocd",
    "kiali": "kiali",
    "kubecost": "kubecost",
    "mcp streamable-http": "mcp",
    "quickwit": "quickwit",
}


def voices(record: Record) -> dict[int, Voice | None]:
    """Who answers on each port; None where nobody listens."""
    return {port["port"]: _voice(record, port) for port in record["service"]["spec"].get("ports", [])}


def voice(server: str) -> Voice:
    """A recorded or documented server, as it was."""
    replies = dict(recordings.http().get(server, {}))
    for start, of in _QUERIES.items():
        if server.startswith(start) and "agent" not in server:
            replies |= recordings.queries(of)
    if "agent" in server and server.startswith("prometheus"):
        replies |= recordings.queries("prometheus agent")
    alien = next((replies[path] for path in ("/no-such-path", "/varz") if path in replies), BARE_404)
    return Voice(
        server, replies, BARE_404 if server.startswith("nats") else alien, recordings.wire().get(server, {})
    )


def _voice(record: Record, port: dict[str, Any]) -> Voice | None:
    expect, images = record["expect"], _images(record)
    spoken = f"{port.get('name') or ''}:{port['port']}:{port.get('targetPort') or port['port']}"
    beside = (who for ports, who in _EVERYWHERE if re.search(ports, spoken))
    products = (
        who
        for image, ports, who in _SPEAKERS
        if re.search(ports, spoken) and any(re.search(image, it) for it in images)
    )
    found = next(beside, "") or next(products, "")
    if not images and expect["kind"]:
        found = _BY_KIND[expect["kind"]]
    if record["service"]["metadata"]["name"] == "kubernetes":
        found = "kube-apiserver"
    found = _gateway(record) if images == ["nginx-unprivileged"] else found
    made = _made(record, port, found) if found else _generic(record, port)
    if made is not None and _is_tls(record, port):
        made = replace(made, tls=True)
    return made


def _gateway(record: Record) -> str:
    """A plain nginx passes on what is behind it, which only the release's name tells."""
    kind = record["expect"]["kind"] or ""
    return {
        "loki": "loki v3.7.8-behind-helm-gateway-nginx",
        "mimir": "mimir gateway",
        "tempo": "tempo, query frontend",
    }.get(kind, "nginx-prefix")


def _made(record: Record, port: dict[str, Any], server: str) -> Voice:
    prefix = (record["expect"].get("path") or "") if record["expect"]["kind"] else ""
    for start, make in _MAKERS.items():
        if server.startswith(start):
            return make(record, port["port"], server, prefix)
    return voice(server)


def _prometheus(record: Record, _: int, __: str, prefix: str) -> Voice:
    if re.search(r"--agent|feature=agent", _lines(record)) or _selects_agents(record):
        return voice("prometheus v3.16-agent")
    server = voice("prometheus v3.16-go")
    return _moved(server, prefix, f"{prefix}/query") if prefix else server


def _selects_agents(record: Record) -> bool:
    """The operator starts agents with a flag that its manifests do not show."""
    labels = {
        **record["service"]["spec"].get("selector", {}),
        **record["service"]["metadata"].get("labels", {}),
    }
    return any("agent" in f"{name}={value}" for name, value in labels.items()) or "agent" in record["source"]


def _alertmanager(_: Record, __: int, server: str, prefix: str) -> Voice:
    return _moved(voice(server), prefix, prefix) if prefix else voice(server)


def _grafana(_: Record, __: int, server: str, prefix: str) -> Voice:
    return _below(voice(server), prefix) if prefix else voice(server)


def _jaeger(_: Record, __: int, server: str, prefix: str) -> Voice:
    """Recorded of v2.13 with base_path /jaeger: the page everywhere, the API below the prefix."""
    if not prefix:
        return voice(server)
    recorded = voice("jaeger v2.13-base-path")
    replies = {
        target.replace("/jaeger", prefix): (status, headers, body.replace("/jaeger/", f"{prefix}/"))
        for target, (status, headers, body) in recorded.replies.items()
    }
    return replace(recorded, replies=replies, otherwise=replies["/"])


def _search(record: Record, _: int, server: str, __: str) -> Voice:
    """Both ask for a login where they serve TLS, and not where security is off."""
    secure = record["expect"].get("scheme") == "https"
    if server == "opensearch":
        return voice("opensearch-auth" if secure else "opensearch")
    return voice("es8-tls" if secure else "es8" if ":8." in _tags(record) else "es7")


def _influxdb(record: Record, *_: object) -> Voice:
    return voice("influxdb 2" if "influxdb:2" in _tags(record) else "influxdb")


def _vmauth(*_: object) -> Voice:
    """What has no route is recorded; what has one is vmselect's."""
    refused, cluster = voice("vmauth v1.151.0-url_map-without-match"), voice("vmselect")
    routed = {target: reply for target, reply in cluster.replies.items() if target.startswith("/select/")}
    return replace(refused, replies={**refused.replies, **routed})


def _loki_gateway(record: Record, _: int, server: str, __: str) -> Voice:
    plain = voice(server)
    return replace(plain, replies={**plain.replies, **recordings.queries(_tenancy(record))})


def _mimir_gateway(*_: object) -> Voice:
    """Its nginx names a tenant where none is given (grafana/mimir, charts/mimir-distributed)."""
    return replace(voice("mimir v3.1-dev-target-querier"), server="mimir gateway")


def _by_role(record: Record, *_: object) -> Voice:
    images = _images(record)
    told = re.search(r"-target=(\S+)", _lines(record))
    role = told[1] if told else "all"
    queries = role in {"all", "read", "querier", "query-frontend"}
    if "thanos" in images:
        return voice(f"thanos v0.42.0-{_thanos_role(record)}")
    if images[0] == "loki":
        tenancy = _tenancy(record)
        base = voice("loki v3.7.8-auth_enabled" if tenancy == "loki tenants" else "loki v3.7.8")
        return replace(base, replies={**base.replies, **(recordings.queries(tenancy) if queries else {})})
    if images[0] == "mimir":
        target = "querier" if queries else "ruler" if role == "ruler" else "distributor"
        return voice(f"mimir v3.1-dev-target-{target}")
    return voice("tempo, query frontend" if role in {"all", "query-frontend"} else "tempo, distributor")


def _thanos_role(record: Record) -> str:
    if "prometheus" in _images(record):
        return "sidecar"
    roles = ("query-frontend", "query", "store", "receive", "rule")
    name = record["service"]["metadata"]["name"]
    return next((role for role in roles if re.search(rf"\b{role}", name)), "sidecar")


@cache
def _releases_with_tenants() -> frozenset[tuple[str, str]]:
    return frozenset(
        (it["cluster"], it["release"])
        for it in load()
        if any("auth_enabled = true" in line for line in (it.get("workload") or {}).get("config", []))
    )


def _tenancy(record: Record) -> str:
    """A gateway's pods do not say it; the release's others do."""
    return "loki tenants" if (record["cluster"], record["release"]) in _releases_with_tenants() else "loki"


def _argocd(record: Record, port: int, _: str, prefix: str) -> Voice:
    if not re.search("(?<!repo)(?<!dex)-server$", record["service"]["metadata"]["name"]):
        return voice("argocd v3.2.11-metrics-18083")
    if prefix:
        plain = voice("argocd v3.2.11-rootpath")
        below = {prefix + target: reply for target, reply in recordings.queries("argocd").items()}
        return replace(plain, replies={**plain.replies, **below})
    config = "\n".join((record.get("workload") or {}).get("config", []))
    if re.search(r"server.insecure: .?true", config):
        return voice("argocd v3.2.11-insecure")
    secure = _is_default_https(port)
    return voice("argocd v3.2.11-default-tls" if secure else "argocd v3.2.11-default-tls-reached-by-http")


def _is_default_https(port: int) -> bool:
    return port == _HTTPS


def _moved(plain: Voice, prefix: str, front: str) -> Voice:
    """A server under its prefix: 404 elsewhere, and "/" redirects (recorded: the -route-prefix servers)."""
    replies = {prefix + target: reply for target, reply in plain.replies.items()}
    replies["/"] = (
        302,
        {"content-type": "text/html; charset=utf-8", "location": front},
        f'<a href="{front}">Found</a>.\n\n',
    )
    return replace(plain, replies=replies, otherwise=BARE_404)


def _below(plain: Voice, prefix: str) -> Voice:
    """Grafana below a sub-path: its pages redirect there, its API answers with and without.

    After grafana/grafana pkg/middleware/subpath_redirect.go; neither run nor re-read here.
    """
    replies = {**plain.replies, **{prefix + target: reply for target, reply in plain.replies.items()}}
    replies["/"] = (301, {"location": f"{prefix}/"}, "")
    return replace(plain, replies=replies)


def _generic(record: Record, port: dict[str, Any]) -> Voice | None:
    """One of the ways to answer nothing of use, always the same for the same port."""
    number = hashlib.sha256(f"{record['id']}:{port['port']}".encode()).digest()[0]
    who = GENERIC[number % len(GENERIC)]
    return None if who == REFUSED else Voice(SILENT) if who == SILENT else voice(who)


def _is_tls(record: Record, port: dict[str, Any]) -> bool:
    """As the label says; of a port that it does not name, as the port's own name says."""
    expect, named = record["expect"], port.get("name") or ""
    if expect["kind"] == "argocd" and expect["scheme"] == "http":
        return False
    places = [expect, *expect.get("also", [])] if expect["kind"] else []
    schemes = [place["scheme"] for place in places if place["port"] == port["port"]]
    if schemes:
        return schemes[0] in {"https", "tls"}
    return bool(re.search(r"https|tls|amqps|replication|kafkaagent", named))


def _images(record: Record) -> list[str]:
    return [
        _base(it["image"])
        for it in (record.get("workload") or {}).get("containers", [])
        if not re.search("k8s-sidecar|config-reloader|configmap-reload", it["image"])
    ]


def _base(image: str) -> str:
    path, _, tag = image.partition(":")
    if path.endswith("open-telemetry/demo"):  # one repository, a product a tag
        return tag.partition("-")[2]
    return path.replace("mcp/grafana", "mcp-grafana").rpartition("/")[2]


def _tags(record: Record) -> str:
    return " ".join(it["image"] for it in (record.get("workload") or {}).get("containers", []))


def _lines(record: Record) -> str:
    return "\n".join(
        arg for it in (record.get("workload") or {}).get("containers", []) for arg in it.get("args", [])
    )


_MAKERS: Mapping[str, Callable[[Record, int, str, str], Voice]] = {
    "by role": _by_role,
    "prometheus": _prometheus,
    "alertmanager": _alertmanager,
    "grafana documented": _grafana,
    "jaeger v2": _jaeger,
    "argocd": _argocd,
    "elasticsearch": _search,
    "opensearch": _search,
    "influxdb": _influxdb,
    "vmauth before": _vmauth,
    "loki v3.7.8-behind": _loki_gateway,
    "mimir gateway": _mimir_gateway,
}
