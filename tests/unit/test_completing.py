"""`dynamic-toolset credentials`: where the Secret is, and what HolmesGPT and the service are to be told."""

import json
from typing import Any

import pytest
import yaml

from sidecar.config import read_config
from sidecar.credentials import FORMATS, Surroundings
from tests.unit.builders import discovered, service
from toolset.catalogue import CatalogueError, bundled, logins, read_backend
from toolset.completing import Completion, commands, complete, configuration, holmesgpt_values, wants_login
from toolset.credentials import Binding, Credentials
from toolset.discovered import Status

ECK = {"elasticsearch.k8s.elastic.co/cluster-name": "orders"}
OPERATOR = {
    "app.kubernetes.io/name": "jobs",
    "app.kubernetes.io/component": "rabbitmq",
    "app.kubernetes.io/part-of": "rabbitmq",
}


def completion(name: str, namespace: str = "shop", verify_ssl: bool = True, **fields: Any) -> Completion:
    of = service(name, namespace, **fields)
    [one] = complete([discovered(of, Status.NEEDS_CREDENTIALS, verify_ssl=verify_ssl)])
    return one


KNOWN = [
    ("orders-es-http", {"labels": ECK}, "orders-es-elastic-user", {"password": "elastic"}),
    (
        "elasticsearch-master",
        {"labels": {"chart": "elasticsearch", "app": "elasticsearch-master"}},
        "elasticsearch-master-credentials",
        {"username": "username", "password": "password"},
    ),
    ("jobs", {"labels": OPERATOR}, "jobs-default-user", {"username": "username", "password": "password"}),
    (
        "jobs-rabbitmq",
        {"labels": {"helm.sh/chart": "rabbitmq-16.0.14"}},
        "jobs-rabbitmq",
        {"password": "rabbitmq-password"},
    ),
    (
        "kube-prometheus-stack-grafana",
        {"labels": {"helm.sh/chart": "grafana-12.11.1"}},
        "kube-prometheus-stack-grafana",
        {"username": "admin-user", "password": "admin-password"},
    ),
    (
        "viz-service",
        {"labels": {"app.kubernetes.io/managed-by": "grafana-operator"}, "ports": ["grafana:3000"]},
        "viz-admin-credentials",
        {"username": "GF_SECURITY_ADMIN_USER", "password": "GF_SECURITY_ADMIN_PASSWORD"},
    ),
    (
        "logs-opensearch",
        {"labels": {"opensearch.org/opensearch-cluster": "logs"}},
        "logs-admin-password",
        {"username": "username", "password": "password"},
    ),
    (
        "old-opensearch",
        {"labels": {"opster.io/opensearch-cluster": "old"}},
        "old-admin-password",
        {"username": "username", "password": "password"},
    ),
    (
        "postgres-rw",
        {"labels": {"cnpg.io/cluster": "orders"}},
        "orders-app",
        {"username": "username", "password": "password", "database": "dbname"},
    ),
    (
        "postgres-primary",
        {"labels": {"postgres-operator.crunchydata.com/cluster": "hippo"}},
        "hippo-pguser-hippo",
        {"username": "user", "password": "password", "database": "dbname"},
    ),
    (
        "acid-postgres",
        {"labels": {"application": "spilo", "cluster-name": "acid-postgres"}},
        "postgres.acid-postgres.credentials.postgresql.acid.zalan.do",
        {"username": "username", "password": "password"},
    ),
    (
        "shop-postgresql-primary",
        {"labels": {"helm.sh/chart": "postgresql-16.7.1"}},
        "shop-postgresql",
        {"password": "postgres-password"},
    ),
    (
        "shop-mysql",
        {"labels": {"helm.sh/chart": "mysql-14.0.3"}},
        "shop-mysql",
        {"password": "mysql-root-password"},
    ),
    (
        "shop-mariadb",
        {"labels": {"helm.sh/chart": "mariadb-22.0.1"}},
        "shop-mariadb",
        {"password": "mariadb-root-password"},
    ),
    (
        "shop-mongodb",
        {"labels": {"helm.sh/chart": "mongodb-16.5.45"}},
        "shop-mongodb",
        {"password": "mongodb-root-password"},
    ),
]


@pytest.mark.parametrize(("name", "fields", "secret", "keys"), KNOWN, ids=[row[2] for row in KNOWN])
def test_the_secret_that_an_operator_or_chart_makes_is_known(
    name: str, fields: dict[str, Any], secret: str, keys: dict[str, str]
) -> None:
    it = completion(name, **fields)
    assert (it.secret, it.keys) == (secret, keys)
    assert it.known is not None
    assert it.known.source


def test_every_known_secret_is_tried_here() -> None:
    tried = [completion(name, **fields).known for name, fields, *_ in KNOWN]
    for backend in bundled().values():
        for way in backend.credentials.ways if backend.credentials else ():
            for known in way.secrets:
                assert known in tried, known.maker


def test_what_is_suggested_is_a_configuration_that_is_accepted() -> None:
    several = [completion(name, **fields) for name, fields, *_ in KNOWN]
    text = yaml.safe_dump(configuration(several, Credentials()))
    config = read_config(text, frozenset(bundled()), logins(bundled()))
    for it in several:
        assert config.credentials.of(it.found.service.key, it.found.type) == it.binding


def test_what_is_bound_already_is_kept() -> None:
    bound = Binding(
        "shop/loki", "loki", {"username": "reader", "password": "{{ env.LOKI }}"}, insecure_tls=True
    )
    told = configuration([completion("jobs", labels=OPERATOR)], Credentials(("LOKI",), (bound,)))
    read = read_config(yaml.safe_dump(told), frozenset(bundled()), logins(bundled())).credentials
    assert read.allowed_env[0] == "LOKI"
    assert read.bindings[0] == bound
    assert [binding.service for binding in read.bindings] == ["shop/loki", "shop/jobs"]


def test_holmesgpts_container_gets_each_variable_from_its_key() -> None:
    told = holmesgpt_values([completion("jobs", labels=OPERATOR)])
    ref = {"name": "jobs-default-user", "key": "username"}
    assert told["additionalEnvVars"][0] == {"name": "SHOP_JOBS_USERNAME", "valueFrom": {"secretKeyRef": ref}}


def test_where_no_secret_is_known_one_is_to_be_made_beside_holmesgpt() -> None:
    it = completion("loki")
    assert it.known is None
    [command] = commands(it, "holmes")
    assert command.startswith("kubectl create secret generic holmesgpt-shop-loki -n holmes ")
    assert command.endswith(" --from-literal=username='…' --from-literal=password='…'")


def test_the_secret_is_copied_unless_holmesgpt_is_where_it_is() -> None:
    it = completion("jobs", labels=OPERATOR)
    look, copy = commands(it, "holmes")
    assert look == "kubectl describe secret jobs-default-user -n shop"
    assert copy.endswith("| kubectl apply -n holmes -f -")
    assert commands(it, "shop") == [look]


def test_two_services_never_share_a_variable() -> None:
    both = [
        discovered(service("rabbitmq", "a-b"), Status.NEEDS_CREDENTIALS),
        discovered(service("b-rabbitmq", "a"), Status.NEEDS_CREDENTIALS),
    ]
    names = [name for it in complete(both) for name in it.variables.values()]
    assert len(set(names)) == 4
    assert complete(both) == complete(both)


def test_a_variables_name_begins_with_no_digit() -> None:
    assert completion("rabbitmq", "42").variables["username"] == "_42_RABBITMQ_USERNAME"


def test_labels_that_name_no_possible_secret_are_not_believed() -> None:
    for value in ("", "UPPER", "a_b"):
        assert completion("elasticsearch", labels={next(iter(ECK)): value}).known is None


@pytest.mark.parametrize(
    ("name", "status", "wants"),
    [
        ("rabbitmq", Status.NEEDS_CREDENTIALS, True),
        ("rabbitmq", Status.VERIFIED, False),
        ("postgresql", Status.UNPROVEN, True),
        ("prometheus", Status.UNPROVEN, False),
        ("zipkin", Status.NEEDS_CREDENTIALS, False),
    ],
)
def test_what_wants_a_login(name: str, status: Status, wants: bool) -> None:
    assert wants_login(discovered(service(name), status)) is wants


AROUND = Surroundings(Credentials(), "holmes")


def test_the_text_is_three_steps_and_its_parts_are_what_programs_get() -> None:
    both = [completion("jobs", labels=OPERATOR), completion("orders-es-http", labels=ECK, verify_ssl=False)]
    text = FORMATS["text"](both, AROUND)
    for number in (1, 2, 3):
        assert f"# {number}. " in text
    assert FORMATS["values"](both, AROUND) in text
    assert FORMATS["config"](both, AROUND) in text
    assert "Nobody vouches for the certificate of shop/orders-es-http" in text
    data = json.loads(FORMATS["json"](both, AROUND))
    assert data == yaml.safe_load(FORMATS["yaml"](both, AROUND))
    assert data["config"] == yaml.safe_load(FORMATS["config"](both, AROUND))
    assert data["holmesgpt_values"] == yaml.safe_load(FORMATS["values"](both, AROUND))
    assert [it["secret"] for it in data["services"]] == ["jobs-default-user", "orders-es-elastic-user"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"keys": {"username": "u"}}, "keys and values together are not what it needs"),
        ({"secret": "always-the-same"}, "does not match"),
        ({"service": "(.+)-service"}, "expected either label, or service with a group"),
        ({"where": {}}, "Shorter than minimum length"),
    ],
)
def test_a_fact_that_cannot_be_used_is_refused(wrong: dict[str, Any], told: str) -> None:
    known = {
        "maker": "an operator",
        "where": {"app": "lamp"},
        "secret": "$instance-login",
        "keys": {"username": "u", "password": "p"},
        "source": "its documentation",
        **wrong,
    }
    backend = {
        "name": "lamp",
        "title": "Lamp",
        "description": "light",
        "proofs": [[{"get": "/"}]],
        "toolsets": [],
        "credentials": {"needs": ["username", "password"], "secrets": [known]},
    }
    with pytest.raises(CatalogueError, match=told):
        read_backend(yaml.safe_dump(backend), "lamp.yaml")
