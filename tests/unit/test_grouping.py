"""One entry an installation: the Service that a person would configure, the others named with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.config import Config
from sidecar.discovery import Discoverer
from sidecar.prove import NoProber, Outcome, Question, Verdict
from sidecar.recognised import recognise
from toolset.catalogue import bundled
from toolset.classify import classify
from toolset.discovered import Discovery
from toolset.grouping import group
from toolset.service import Service

NAME, INSTANCE, COMPONENT = (f"app.kubernetes.io/{word}" for word in ("name", "instance", "component"))


def service(
    name: str,
    selector: Mapping[str, str],
    port: str = "http:9090",
    *,
    headless: bool = False,
    labels: Mapping[str, str] | None = None,
) -> Service:
    port_name, number = port.split(":")
    return Service.from_object(
        {
            "metadata": {
                "name": name,
                "namespace": "here",
                "uid": name,
                "labels": dict(selector if labels is None else labels),
            },
            "spec": {
                "clusterIP": "None" if headless else "10.0.0.1",
                "selector": dict(selector),
                "ports": [{"name": port_name, "port": int(number)}],
            },
        }
    )


def groups(*services: Service) -> dict[str, list[str]]:
    """The chosen Services, each with those that stand behind it."""
    found = group(classify(it, bundled()).candidates for it in services)
    return {it.chosen[0].service.name: [other[0].service.name for other in it.others] for it in found}


def loki(component: str, name: str, *, headless: bool = False) -> Service:
    return service(
        name, {NAME: "loki", INSTANCE: "loki", COMPONENT: component}, "http-metrics:3100", headless=headless
    )


def test_a_headless_twin_stands_behind_the_service_with_an_address() -> None:
    selector = {NAME: "prometheus", INSTANCE: "p", COMPONENT: "server"}
    assert groups(
        service("p-prometheus-server-headless", selector, headless=True),
        service("p-prometheus-server", selector),
    ) == {"p-prometheus-server": ["p-prometheus-server-headless"]}


def test_a_headless_service_that_is_alone_is_the_one() -> None:
    assert groups(service("prometheus", {"app": "prometheus"}, headless=True)) == {"prometheus": []}


def test_the_operator_s_own_service_stands_behind_the_chart_s() -> None:
    assert groups(
        service(
            "prometheus-operated", {NAME: "prometheus"}, headless=True, labels={"operated-prometheus": "true"}
        ),
        service("kps-prometheus", {NAME: "prometheus", "operator.prometheus.io/name": "kps"}),
    ) == {"kps-prometheus": ["prometheus-operated"]}


def test_a_gateway_goes_before_the_parts_behind_it() -> None:
    assert groups(
        loki("query-frontend", "loki-query-frontend"),
        loki("querier", "loki-querier"),
        loki("gateway", "loki-gateway"),
    ) == {"loki-gateway": ["loki-query-frontend", "loki-querier"]}


def test_without_a_gateway_the_query_frontend_goes_first() -> None:
    assert list(groups(loki("querier", "loki-querier"), loki("query-frontend", "loki-query-frontend"))) == [
        "loki-query-frontend"
    ]


def test_roles_of_one_database_are_one() -> None:
    def redis(role: str) -> Service:
        return service(f"redis-{role}", {"app": "redis", "role": role}, "redis:6379")

    assert groups(redis("replica"), redis("master")) == {"redis-master": ["redis-replica"]}


def test_node_sets_are_one_though_each_is_a_release_of_its_own() -> None:
    def nodes(role: str) -> Service:
        return service(
            f"elasticsearch-{role}", {"release": f"es-{role}", "app": f"elasticsearch-{role}"}, "http:9200"
        )

    assert groups(nodes("master"), nodes("data"), nodes("client")) == {
        "elasticsearch-client": ["elasticsearch-master", "elasticsearch-data"]
    }


def test_two_installations_stay_two() -> None:
    assert groups(
        service("a-prometheus", {NAME: "prometheus", "operator.prometheus.io/name": "a"}),
        service("b-prometheus", {NAME: "prometheus", "operator.prometheus.io/name": "b"}),
    ) == {"a-prometheus": [], "b-prometheus": []}


def test_two_owners_of_the_same_product_stay_two() -> None:
    assert groups(
        service("prometheus-prod", {"app": "prometheus-prod"}),
        service("prometheus-staging", {"app": "prometheus-staging"}),
    ) == {"prometheus-prod": [], "prometheus-staging": []}


def test_two_clusters_of_one_operator_stay_two_whatever_they_are_called() -> None:
    def cluster(name: str) -> Service:
        selector = {"cnpg.io/cluster": name, "cnpg.io/instanceRole": "primary"}
        return service(f"{name}-rw", selector, "postgres:5432")

    assert groups(cluster("postgresql-1"), cluster("postgresql-2")) == {
        "postgresql-1-rw": [],
        "postgresql-2-rw": [],
    }


def test_namespaces_keep_installations_apart() -> None:
    one = service("prometheus", {"app": "prometheus"})
    other = Service("there", "prometheus", selector=one.selector, ports=one.ports)
    assert len(group(classify(it, bundled()).candidates for it in (one, other))) == 2


class Scripted:
    """A prober for whom only some Services prove themselves."""

    asks = True

    def __init__(self, **outcomes: Outcome) -> None:
        self.outcomes = {name.replace("_", "-"): outcome for name, outcome in outcomes.items()}
        self.asked: list[list[str]] = []

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        self.asked.append([it.candidates[0].service.name for it in questions])
        return [
            Verdict(
                it.candidates[0],
                it.candidates[0].endpoints[0],
                self.outcomes.get(it.candidates[0].service.name, Outcome.UNREACHABLE),
                evidence=("asked",),
            )
            for it in questions
        ]


GATEWAY, FRONTEND = loki("gateway", "loki-gateway"), loki("query-frontend", "loki-query-frontend")


def discover(prober: Scripted | NoProber) -> Discovery:
    recognised = recognise([GATEWAY, FRONTEND], bundled(), Config(), "cluster.local")
    return Discoverer(Config()).discover(recognised, prober, 0.0)


def test_what_is_left_out_names_the_one_that_stands_for_it() -> None:
    found = discover(NoProber())
    assert [it.service.name for it in found.discovered] == ["loki-gateway"]
    assert [(it.name, it.reason) for it in found.skipped] == [
        ("loki-query-frontend", "Loki is reached through here/loki-gateway: one entry an installation")
    ]


def test_equivalents_are_not_asked_while_the_chosen_one_proves_itself() -> None:
    prober = Scripted(loki_gateway=Outcome.VERIFIED, loki_query_frontend=Outcome.VERIFIED)
    assert [it.service.name for it in discover(prober).discovered] == ["loki-gateway"]
    assert prober.asked == [["loki-gateway"]]


def test_a_verified_equivalent_stands_in_for_a_chosen_one_that_fails() -> None:
    found = discover(Scripted(loki_query_frontend=Outcome.VERIFIED))
    assert [it.service.name for it in found.discovered] == ["loki-query-frontend"]
    assert [it.name for it in found.skipped] == ["loki-gateway"]
    assert "unreachable; asked; Loki is reached through here/loki-query-frontend" in found.skipped[0].reason


def test_a_verified_equivalent_stands_in_for_one_that_asks_for_a_login() -> None:
    found = discover(Scripted(loki_gateway=Outcome.NEEDS_CREDENTIALS, loki_query_frontend=Outcome.VERIFIED))
    assert [it.service.name for it in found.discovered] == ["loki-query-frontend"]


def test_when_all_fail_each_says_why() -> None:
    found = discover(Scripted())
    assert not found.discovered
    assert [(it.name, "unreachable" in it.reason) for it in found.skipped] == [
        ("loki-gateway", True),
        ("loki-query-frontend", True),
    ]
