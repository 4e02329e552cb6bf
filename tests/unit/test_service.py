"""What is kept of a Service, and what no API server would have accepted."""

from typing import Any

import pytest

from toolset.annotations import AnnotationError, read_wishes
from toolset.service import MAX_LABELS, MAX_PORTS, InvalidServiceError, Port, Service


def manifest(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "prom", "namespace": "shop"}, "spec": spec}


def described(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "prom", **metadata}}


def test_a_service_keeps_what_matters() -> None:
    read = Service.from_object(
        {
            "metadata": {"name": "prom", "namespace": "shop", "uid": "1-2", "labels": {"app": "prometheus"}},
            "spec": {
                "clusterIP": "10.96.0.1",
                "selector": {"app": "prometheus"},
                "ports": [{"name": "web", "port": 9090, "targetPort": "http", "appProtocol": "https"}],
            },
        }
    )

    assert read.key == "shop/prom"
    assert read.uid == "1-2"
    assert read.cluster_ip == "10.96.0.1"
    assert read.labels == read.selector == {"app": "prometheus"}
    assert read.ports == (Port(9090, "web", "https", "http"),)


def test_the_dns_name_is_the_one_that_pods_use() -> None:
    read = Service.from_object(manifest())
    assert read.host("example.org") == "prom.shop.svc.example.org"


def test_annotations_that_are_not_addressed_to_us_are_dropped() -> None:
    annotations = {"kubernaut.io/toolset": "enabled", "kubectl.kubernetes.io/last-applied": "{}"}
    read = Service.from_object(described(annotations=annotations))
    assert read.annotations == {"kubernaut.io/toolset": "enabled"}


def test_a_service_without_a_namespace_is_in_the_default_one() -> None:
    assert Service.from_object(described()).namespace == "default"


@pytest.mark.parametrize("absent", [None, [], {}])
def test_absent_sections_are_empty_ones(absent: Any) -> None:
    read = Service.from_object({"metadata": {"name": "prom", "labels": None}, "spec": absent})
    assert (read.labels, read.selector, read.ports) == ({}, {}, ())


@pytest.mark.parametrize("address", ["None", "", None])
def test_a_headless_service_has_no_address(address: str | None) -> None:
    assert Service.from_object(manifest(clusterIP=address)).cluster_ip == ""


def test_an_external_name_has_no_address_whatever_it_says() -> None:
    read = Service.from_object(manifest(type="ExternalName", clusterIP="169.254.169.254"))
    assert (read.type, read.cluster_ip) == ("ExternalName", "")


def test_an_ipv6_address_is_kept() -> None:
    assert Service.from_object(manifest(clusterIP="fd00::1")).cluster_ip == "fd00::1"


@pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
def test_only_tcp_ports_are_kept(protocol: str) -> None:
    read = Service.from_object(manifest(ports=[{"port": 53, "protocol": protocol}, {"port": 80}]))
    assert read.ports == (Port(80),)


def test_of_thousands_of_ports_the_first_are_kept_and_the_rest_counted() -> None:
    read = Service.from_object(manifest(ports=[{"port": number} for number in range(1, 5001)]))
    assert [kept.number for kept in read.ports] == list(range(1, MAX_PORTS + 1))
    assert read.dropped_ports == 5000 - MAX_PORTS


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({}, "metadata.name"),
        ({"metadata": "text"}, "metadata"),
        ({"metadata": {"name": 7}}, "metadata.name"),
        (described(name="no_underscore"), "metadata.name"),
        (described(name="x" * 64), "metadata.name"),
        (described(name="two\nlines"), "metadata.name"),
        (described(name="trailing\n"), "metadata.name"),
        (described(name="{{ env.HOME }}"), "metadata.name"),
        (described(namespace="Upper"), "metadata.namespace"),
        (described(uid=7), "metadata.uid"),
        (described(labels=["app"]), "metadata.labels"),
        (described(labels={"app": 1}), "metadata.labels"),
        (described(labels={1: "app"}), "metadata.labels"),
        (described(annotations={"a": True}), "metadata.annotations"),
        ({"metadata": {"name": "a"}, "spec": "text"}, "spec"),
        (manifest(selector="app"), "spec.selector"),
        (manifest(type=1), "spec.type"),
        (manifest(clusterIP="example.org"), "spec.clusterIP"),
        (manifest(clusterIP="10.0.0.1:80"), "spec.clusterIP"),
        (manifest(ports={"port": 1}), "spec.ports"),
        (manifest(ports=[{"port": 1}, 80]), "spec.ports[1]"),
        (manifest(ports=[{}]), "spec.ports[0].port"),
        (manifest(ports=[{"port": "80"}]), "spec.ports[0].port"),
        (manifest(ports=[{"port": True}]), "spec.ports[0].port"),
        (manifest(ports=[{"port": 0}]), "spec.ports[0].port"),
        (manifest(ports=[{"port": 65536}]), "spec.ports[0].port"),
        (manifest(ports=[{"port": 80, "name": 7}]), "spec.ports[0].name"),
    ],
)
def test_what_no_api_server_accepts_is_refused_naming_the_field(broken: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidServiceError) as refused:
        Service.from_object(broken)
    assert str(refused.value).startswith(field + ":")


def test_a_refusal_quotes_only_the_beginning_of_a_long_value() -> None:
    with pytest.raises(InvalidServiceError) as refused:
        Service.from_object(described(name="A" * 100_000))
    assert len(str(refused.value)) < 200


HUGE = "x" * 256 * 1024  # what the API lets the annotations of an object hold together


def test_of_huge_annotations_enough_is_kept_to_refuse_them() -> None:
    read = Service.from_object(
        described(
            annotations={
                "kubernaut.io/toolset-name": HUGE,
                **{f"kubernaut.io/toolset-{n}": "x" for n in range(1000)},
            }
        )
    )
    assert sum(map(len, read.annotations.values())) < 4096
    with pytest.raises(AnnotationError):
        read_wishes(read, "cluster.local")


@pytest.mark.parametrize("suffix", ["", "-type", "-name", "-endpoint", "-health-path", "-tenant"])
def test_a_huge_annotation_that_is_cut_is_no_other_annotation(suffix: str) -> None:
    value = ("/" if "path" in suffix or "endpoint" in suffix else "") + HUGE
    read = Service.from_object(
        {**described(annotations={f"kubernaut.io/toolset{suffix}": value}), "spec": {"selector": {"a": "b"}}}
    )
    with pytest.raises(AnnotationError):
        read_wishes(read, "cluster.local")


def test_of_thousands_of_labels_the_first_are_kept() -> None:
    many = {f"l{n}": "x" for n in range(5000)}
    read = Service.from_object({**described(labels=many), "spec": {"selector": many}})
    assert len(read.labels) == len(read.selector) == MAX_LABELS
