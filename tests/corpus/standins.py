"""Who answers behind each port of a Service of the corpus: recorded servers, told apart by workload.

The bytes are those of ``tests/atlas`` (recorded, or documented where a product could not be run); this
module only decides who speaks, from images, arguments, ports, and where the label says that it does: the
prefix and the scheme. What nothing was recorded of answers as a generic server does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.corpus.score import Record, load

ATLAS = Path(__file__).parents[1] / "atlas"
_BARE_404: Reply = (404, {"content-type": "text/plain; charset=utf-8"}, "404 page not found\n")

Reply = tuple[int, Any, str]

REFUSED, SILENT = "nobody listens", "never answers"
GENERIC = ("nginx-spa", "impostor-json200", "otel-collector jaeger-v2.13-otlp-http-4318", SILENT, REFUSED)
"""A page for every path, JSON for every path, 404 for every path, silence, and no listener."""


@dataclass(frozen=True)
class Voice:
    """What one port says: HTTP by target, other protocols by what is sent to it."""

    server: str
    replies: Mapping[str, Reply] = field(default_factory=dict)
    otherwise: Reply = _BARE_404
    wire: Mapping[bytes, bytes] = field(default_factory=dict)
    tls: bool = False

    def reply(self, target: str, accept: str = "") -> Reply:
        """To a GET request; a query's answer is recorded once, for any query."""
        for known in (f"{target} Accept: {accept}", target, target.partition("?")[0]):
            if known in self.replies:
                return self.replies[known]
        return self.otherwise


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
    "quickwit": "quickwit",
}


def voices(record: Record) -> dict[int, Voice | None]:
    """Who answers on each port; None where nobody listens."""
    return {port["port"]: _voice(record, port) for port in record["service"]["spec"].get("ports", [])}


def voice(server: str) -> Voice:
    """A recorded or documented server, as it was."""
    replies = dict(_http().get(server, {}))
    for start, queries in _QUERIES.items():
        if server.startswith(start) and "agent" not in server:
            replies |= _queries(queries)
    if "agent" in server and server.startswith("prometheus"):
        replies |= _queries("prometheus agent")
    alien = next((replies[path] for path in ("/no-such-path", "/varz") if path in replies), _BARE_404)
    return Voice(server, replies, _BARE_404 if server.startswith("nats") else alien, _wire().get(server, {}))


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


def _made(record: Record, port: dict[str, Any], server: str) -> Voice | None:
    lines, config = _lines(record), "\n".join((record.get("workload") or {}).get("config", []))
    prefix = (record["expect"].get("path") or "") if record["expect"]["kind"] else ""
    if server == "by role":
        return _by_role(record, lines, config)
    if server.startswith("loki v3.7.8-behind"):
        plain = voice(server)
        return replace(plain, replies={**plain.replies, **_queries(_tenancy(record))})
    if server == "mimir gateway":
        return replace(voice("mimir v3.1-dev-target-querier"), server=server)
    if server == "prometheus":
        if (
            re.search(r"--agent|feature=agent", lines)
            or "agent" in record["service"]["metadata"]["name"]
            or "agent" in record["cluster"]
        ):
            return voice("prometheus v3.16-agent")
        return (
            _moved(voice("prometheus v3.16-go"), prefix, f"{prefix}/query")
            if prefix
            else voice("prometheus v3.16-go")
        )
    if server.startswith("alertmanager") and prefix:
        return _moved(voice(server), prefix, prefix)  # recorded: alertmanager v0.25-route-prefix, GET /
    if server.startswith("grafana") and prefix:
        return _below(voice(server), prefix)
    if server.startswith("jaeger v2") and prefix:
        return _jaeger(prefix)
    if server == "argocd":
        return _argocd(port, prefix, config, record["service"]["metadata"]["name"])
    if server == "elasticsearch":
        secure = record["expect"].get("scheme") == "https"
        return voice("es8-tls" if secure else "es8" if ":8." in _tags(record) else "es7")
    if server == "opensearch":
        return voice("opensearch-auth" if record["expect"].get("scheme") == "https" else "opensearch")
    if server == "influxdb":
        return voice("influxdb 2" if "influxdb:2" in _tags(record) else "influxdb")
    if server == "vmauth before a cluster":
        refused = voice("vmauth v1.151.0-url_map-without-match")
        return replace(refused, replies={**refused.replies, **_select(voice("vmselect"))})
    return voice(server)


def _by_role(record: Record, lines: str, config: str) -> Voice:
    images, name = _images(record), record["service"]["metadata"]["name"]
    image = "thanos" if "thanos" in images else images[0]
    told = re.search(r"-target=(\S+)", lines)
    role = told[1] if told else "all"
    if image == "thanos":
        role = (
            "sidecar"
            if "prometheus" in _images(record)
            else next(
                (
                    it
                    for it in ("query-frontend", "query", "store", "receive", "rule")
                    if re.search(rf"\b{it}", name)
                ),
                "sidecar",
            )
        )
        return voice(f"thanos v0.42.0-{role}")
    queries = role in {"all", "read", "querier", "query-frontend", "query", "scalable-single-binary"}
    if image == "loki":
        tenancy = _tenancy(record)
        base = voice("loki v3.7.8-auth_enabled" if tenancy == "loki tenants" else "loki v3.7.8")
        return replace(
            base,
            replies={**base.replies, **_queries(tenancy)} if queries else base.replies,
        )
    if image == "mimir":
        querying = voice("mimir v3.1-dev-target-querier")
        return (
            querying
            if queries
            else voice(f"mimir v3.1-dev-target-{'ruler' if role == 'ruler' else 'distributor'}")
        )
    return voice("tempo, query frontend" if role in {"all", "query-frontend"} else "tempo, distributor")


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


def _argocd(port: dict[str, Any], prefix: str, config: str, name: str) -> Voice:
    if not name.endswith("server") or "repo" in name or "dex" in name:
        return voice("argocd v3.2.11-metrics-18083")
    if prefix:
        plain = voice("argocd v3.2.11-rootpath")
        return replace(
            plain,
            replies={
                **plain.replies,
                f"{prefix}/api/v1/applications": _queries("argocd")["/api/v1/applications"],
            },
        )
    if re.search(r"server.insecure: .?true", config):
        return voice("argocd v3.2.11-insecure")
    return voice(
        "argocd v3.2.11-default-tls" if port["port"] == 443 else "argocd v3.2.11-default-tls-reached-by-http"
    )


def _moved(plain: Voice, prefix: str, front: str) -> Voice:
    """A server under its prefix: 404 elsewhere, and "/" redirects (recorded: the -route-prefix servers)."""
    replies = {prefix + target: reply for target, reply in plain.replies.items()}
    replies["/"] = (
        302,
        {"content-type": "text/html; charset=utf-8", "location": front},
        f'<a href="{front}">Found</a>.\n\n',
    )
    return replace(plain, replies=replies, otherwise=_BARE_404)


def _below(plain: Voice, prefix: str) -> Voice:
    """Grafana below a sub-path: its pages redirect there, its API answers with and without.

    Documented, not run: grafana/grafana pkg/middleware/subpath_redirect.go.
    """
    replies = {**plain.replies, **{prefix + target: reply for target, reply in plain.replies.items()}}
    replies["/"] = (301, {"location": f"{prefix}/"}, "")
    return replace(plain, replies=replies)


def _jaeger(prefix: str) -> Voice:
    """Recorded of v2.13 with base_path /jaeger: the page everywhere, the API below the prefix."""
    recorded = voice("jaeger v2.13-base-path")
    replies = {
        target.replace("/jaeger", prefix): (status, headers, body.replace("/jaeger/", f"{prefix}/"))
        for target, (status, headers, body) in recorded.replies.items()
    }
    return replace(recorded, replies=replies, otherwise=replies["/"])


def _select(cluster: Voice) -> dict[str, Reply]:
    return {target: reply for target, reply in cluster.replies.items() if target.startswith("/select/")}


def _generic(record: Record, port: dict[str, Any]) -> Voice | None:
    """One of the ways to answer nothing of use, always the same for the same port."""
    number = hashlib.sha256(f"{record['id']}:{port['port']}".encode()).digest()[0]
    who = GENERIC[number % len(GENERIC)]
    return None if who == REFUSED else Voice(SILENT) if who == SILENT else voice(who)


def _is_tls(record: Record, port: dict[str, Any]) -> bool:
    expect = record["expect"]
    if expect["kind"]:
        places = [
            (expect["port"], expect["scheme"]),
            *((it["port"], it["scheme"]) for it in expect.get("also", [])),
        ]
        if port["port"] in dict(places):
            return dict(places)[port["port"]] in {"https", "tls"}
        if expect["kind"] == "argocd":
            return port["port"] == 443 and expect["scheme"] == "https"
    return (
        bool(re.search(r"https|tls|amqps|replication|kafkaagent", port.get("name") or ""))
        and expect["kind"] != "argocd"
    )


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


@cache
def _http() -> dict[str, dict[str, Reply]]:
    servers = [*_read("http.json"), *_read("documented.json")]
    return {
        it["server"]: {target: _reply(reply) for target, reply in it["answers"].items()} for it in servers
    }


@cache
def _wire() -> dict[str, dict[bytes, bytes]]:
    return {
        it["server"]: {bytes.fromhex(sent): bytes.fromhex(said) for sent, said in it["answers"].items()}
        for it in _read("tcp.json")
    }


def _queries(of: str) -> dict[str, Reply]:
    return {
        target: _reply(reply)
        for it in _read("queries.json")
        if of in it["of"]
        for target, reply in it["answers"].items()
    }


@cache
def _read(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ATLAS / name).read_text("utf-8"))
    return found


def _reply(recorded: Any) -> Reply:
    return _BARE_404 if recorded == 404 else tuple(recorded)
