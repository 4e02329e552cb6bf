"""The servers that can be had, and how each is started: plain data, which `servers` uses."""

from dataclasses import dataclass
from pathlib import Path

from sidecar.prove import Outcome
from tests.programs import ALERTMANAGER_CONFIG, PROMETHEUS_CONFIG
from tests.realparts import TESTBED

JAEGER = """
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], processors: [], exporters: [jaeger_storage_exporter]}}
extensions:
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "{ip}:16686"}
    grpc: {endpoint: "{ip}:16685"}
  jaeger_storage: {backends: {memory: {memory: {max_traces: 10}}}}
receivers: {otlp: {protocols: {http: {endpoint: "{ip}:4318"}}}}
exporters: {jaeger_storage_exporter: {trace_storage: memory}}
"""
INFLUXDB = """
reporting-disabled = true
bind-address = "{ip}:8088"
[meta]
dir = "{here}/meta"
[data]
dir = "{here}/data"
wal-dir = "{here}/wal"
[http]
bind-address = "{ip}:8086"
"""
LOKI = """
auth_enabled: {tenants}
server: {http_listen_address: {ip}, http_listen_port: 3100, grpc_listen_address: {ip}}
common:
  path_prefix: {here}/data
  instance_addr: {ip}
  replication_factor: 1
  ring: {instance_addr: {ip}, kvstore: {store: inmemory}}
  storage: {filesystem: {chunks_directory: {here}/chunks, rules_directory: {here}/rules}}
frontend: {address: {ip}}
schema_config:
  configs:
    - {from: "2024-01-01", store: tsdb, schema: v13, object_store: filesystem, index: {prefix: i, period: 1d}}
ingester: {lifecycler: {min_ready_duration: 0s}}
analytics: {reporting_enabled: false}
"""
MIMIR = """
multitenancy_enabled: false
server: {http_listen_address: {ip}, http_listen_port: 8080, grpc_listen_address: {ip}}
common: {storage: {backend: filesystem, filesystem: {dir: {here}/common}}}
blocks_storage:
  storage_prefix: blocks
  tsdb: {dir: {here}/tsdb}
  bucket_store: {sync_dir: {here}/sync}
compactor: {data_dir: {here}/compactor, sharding_ring: {instance_addr: {ip}, kvstore: {store: inmemory}}}
distributor: {ring: {instance_addr: {ip}, kvstore: {store: inmemory}}}
ingester:
  ring: {instance_addr: {ip}, kvstore: {store: inmemory}, replication_factor: 1, min_ready_duration: 0s}
store_gateway: {sharding_ring: {instance_addr: {ip}, kvstore: {store: inmemory}, replication_factor: 1}}
query_scheduler: {ring: {instance_addr: {ip}, kvstore: {store: inmemory}}}
ruler: {rule_path: {here}/rules, ring: {instance_addr: {ip}, kvstore: {store: inmemory}}}
ruler_storage: {storage_prefix: ruler}
frontend: {address: {ip}, scheduler_address: "{ip}:9095"}
frontend_worker: {scheduler_address: "{ip}:9095"}
memberlist: {bind_addr: ["{ip}"], advertise_addr: {ip}}
activity_tracker: {filepath: {here}/activity}
usage_stats: {enabled: false}
"""
CORTEX = """
auth_enabled: false
server: {http_listen_address: {ip}, http_listen_port: 9009, grpc_listen_address: {ip}}
blocks_storage:
  backend: filesystem
  filesystem: {dir: {here}/blocks}
  tsdb: {dir: {here}/tsdb}
  bucket_store: {sync_dir: {here}/sync}
distributor: {ring: {kvstore: {store: inmemory}, instance_addr: {ip}}}
ingester:
  lifecycler:
    address: {ip}
    min_ready_duration: 0s
    ring: {kvstore: {store: inmemory}, replication_factor: 1}
store_gateway: {sharding_ring: {kvstore: {store: inmemory}, instance_addr: {ip}}}
frontend: {address: {ip}}
frontend_worker: {frontend_address: "{ip}:9095"}
querier: {store_gateway_addresses: "{ip}:9095"}
memberlist: {bind_addr: ["{ip}"]}
"""
KAFKA = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{ip}:9193
listeners=PLAINTEXT://{ip}:9092,SASL_PLAINTEXT://{ip}:9094,CONTROLLER://{ip}:9193
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\\
org.apache.kafka.common.security.plain.PlainLoginModule required user_a="b";
offsets.topic.replication.factor=1
log.dirs={here}/logs
"""
# What its storage tool would write, in another start of Java.
KAFKA_STORAGE = "version=1\nnode.id=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\n"
RABBITMQ = "listeners.tcp.1 = {ip}:5672\nmanagement.tcp.ip = {ip}\nmanagement.tcp.port = 15672\n"


@dataclass(frozen=True)
class Kind:
    """A server that can be had: what it is, where it listens, and what is to be found of it."""

    backend: str
    part: str
    port: int
    flags: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    outcome: Outcome = Outcome.VERIFIED
    ready: str = ""

    @property
    def there(self) -> bool:
        """Whether its part was got."""
        return (TESTBED / self.part).exists()


def kind(
    backend: str,
    part: str,
    port: int,
    *flags: str,
    outcome: Outcome = Outcome.VERIFIED,
    ready: str = "",
    **files: str,
) -> Kind:
    """`flags` and the files' contents may hold {ip}, {port}, {address} and {here}, a directory of its own.

    `ready` is a path that it answers well once it has started; without one it has when it listens. A file's
    name holds `__` for a slash and `_` for the dot, which keyword arguments cannot hold.
    """
    return Kind(backend, part, port, flags, tuple(files.items()), outcome, ready)


_PEM = (Path(__file__).parents[1] / "unit/self_signed.pem").read_text()
CERTIFICATE, KEY = ("-----BEGIN" + text for text in _PEM.split("-----BEGIN")[1:])
LOGIN = Outcome.NEEDS_CREDENTIALS
KINDS = {
    "prometheus": kind(
        "prometheus",
        "programs/prometheus",
        9090,
        "--web.listen-address={address}",
        "--config.file={here}/config",
        "--storage.tsdb.path={here}/data",
        config=PROMETHEUS_CONFIG,
    ),
    "alertmanager": kind(
        "alertmanager",
        "programs/alertmanager",
        9093,
        "--web.listen-address={address}",
        "--config.file={here}/config",
        "--storage.path={here}/data",
        "--cluster.listen-address=",
        config=ALERTMANAGER_CONFIG,
    ),
    "victoriametrics": kind(
        "victoriametrics",
        "go-backends/victoria-metrics",
        8428,
        "-httpListenAddr={address}",
        "-storageDataPath={here}/data",
    ),
    "victorialogs": kind(
        "victorialogs",
        "go-backends/victoria-logs",
        9428,
        "-httpListenAddr={address}",
        "-storageDataPath={here}/data",
    ),
    "jaeger": kind("jaeger", "go-backends/jaeger", 16686, "--config={here}/config.yaml", config_yaml=JAEGER),
    "nats": kind("nats", "go-backends/nats", 8222, "-a={ip}", "-p=4222", "-m=8222"),
    "redis": kind("redis", "debian-backends/redis", 6379, "--bind", "{ip}", "--save", ""),
    "redis-with-login": kind(
        "redis",
        "debian-backends/redis",
        6379,
        *("--bind", "{ip}", "--save", "", "--requirepass", "secret"),
        outcome=LOGIN,
    ),
    # Its system tables do not matter to who only reads its greeting.
    "mysql": kind(
        "mysql",
        "debian-backends/mariadb",
        3306,
        *("--user=root", "--skip-grant-tables", "--datadir={here}", "--socket={here}/socket"),
        *("--pid-file={here}/pid", "--bind-address={ip}", "--port=3306"),
        outcome=LOGIN,
    ),
    "influxdb": kind(
        "influxdb", "debian-backends/influxdb", 8086, "run", "-config", "{here}/config", config=INFLUXDB
    ),
    "rabbitmq": kind(
        "rabbitmq",
        "debian-backends/rabbitmq",
        15672,
        rabbitmq_conf=RABBITMQ,
        enabled_plugins="[rabbitmq_management].",
        outcome=LOGIN,
    ),
    "thanos": kind(
        "thanos",
        "go-backends/thanos",
        10902,
        *("query", "--http-address={address}", "--grpc-address={ip}:10901"),
    ),
    "loki": kind(
        "loki",
        "go-backends/loki",
        3100,
        "-config.file={here}/config.yaml",
        config_yaml=LOKI.replace("{tenants}", "false"),
        ready="/ready",
    ),
    "loki-of-tenants": kind(
        "loki",
        "go-backends/loki",
        3100,
        "-config.file={here}/config.yaml",
        config_yaml=LOKI.replace("{tenants}", "true"),
        outcome=LOGIN,
        ready="/ready",
    ),
    "mimir": kind(
        "mimir",
        "go-backends/mimir",
        8080,
        "-config.file={here}/config.yaml",
        config_yaml=MIMIR,
        ready="/ready",
    ),
    "cortex": kind(
        "cortex",
        "go-backends/cortex",
        9009,
        *("-config.file={here}/config.yaml", "-ring.store=inmemory"),
        "-target=distributor,ingester,querier,query-frontend,store-gateway",
        config_yaml=CORTEX,
        ready="/ready",
    ),
    "zipkin": kind(
        "zipkin",
        "maven-backends/zipkin",
        9411,
        "--armeria.ports[0].ip={ip}",
        "--armeria.ports[0].port={port}",
        "--armeria.ports[0].protocols[0]=http",
        ready="/health",
    ),
    "kafka": kind(
        "kafka",
        "maven-backends/kafka",
        9092,
        "{here}/kafka.properties",
        kafka_properties=KAFKA,
        logs__meta_properties=KAFKA_STORAGE,
    ),
    "kafka-with-login": kind(
        "kafka",
        "maven-backends/kafka",
        9094,
        "{here}/kafka.properties",
        kafka_properties=KAFKA,
        logs__meta_properties=KAFKA_STORAGE,
        outcome=LOGIN,
    ),
    "opensearch": kind(
        "opensearch", "maven-backends/opensearch", 9200, "{here}", "{ip}", "{port}", ready="/_cluster/health"
    ),
    "elasticsearch": kind(
        "elasticsearch",
        "maven-backends/elasticsearch",
        9200,
        *("{here}", "{ip}", "{port}"),
        ready="/_cluster/health",
    ),
    "elasticsearch-with-login": kind(
        "elasticsearch",
        "maven-backends/elasticsearch-8",
        9200,
        *("{here}", "{ip}", "{port}"),
        outcome=LOGIN,
        config__certificate_pem=CERTIFICATE,
        config__key_pem=KEY,
    ),
    "postgresql": kind(
        "postgresql",
        "debian-backends/postgresql",
        5432,
        *("-D", "{here}/data", "-p", "5432", "-c", "listen_addresses={ip}"),
        *("-c", "unix_socket_directories={here}"),
        outcome=LOGIN,
    ),
}
