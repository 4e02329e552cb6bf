"""What EndpointSlices tell of a Service."""

from typing import Any

import pytest

from tests.unit.builders import service
from toolset.backing import backed, why_nobody_answers


def slices(*addresses: str, ready: bool | None = True, port: int = 19090) -> list[dict[str, Any]]:
    conditions = {} if ready is None else {"ready": ready}
    endpoints = [{"addresses": [address], "conditions": conditions} for address in addresses]
    return [{"endpoints": endpoints, "ports": [{"name": "web", "port": port}]}]


HEADLESS = service("lamp", cluster_ip="", headless=True, ports=["web:80", "other:81"])


def test_a_headless_service_gets_the_address_and_the_ports_of_a_ready_pod() -> None:
    known = backed(HEADLESS, slices("10.1.2.3", "10.1.2.4"))
    assert known.address == "10.1.2.3"
    assert [(port.name, port.number) for port in known.ports] == [("web", 19090), ("other", 81)]


def test_a_pod_that_is_not_ready_is_passed_over() -> None:
    known = backed(HEADLESS, slices("10.1.2.3", ready=False) + slices("10.1.2.4", ready=None))
    assert known.address == "10.1.2.4"


def test_a_service_with_an_address_of_its_own_keeps_it_and_its_ports() -> None:
    own = service("lamp")
    assert backed(own, slices("10.1.2.3")) == own


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "224.0.0.1", "0.0.0.0", "evil.example.com", ""],
)
def test_no_slice_leads_to_the_machine_itself_or_to_a_metadata_server(address: str) -> None:
    assert backed(HEADLESS, slices(address)).address == ""


@pytest.mark.parametrize(
    "none", [[], [{}], [{"endpoints": None, "ports": None}], slices("10.1.2.3", ready=False)]
)
def test_without_a_ready_endpoint_that_is_the_reason(none: list[dict[str, Any]]) -> None:
    assert why_nobody_answers(none) == "it has no ready endpoints"
    assert backed(HEADLESS, none) == HEADLESS


def test_ready_endpoints_explain_nothing() -> None:
    assert why_nobody_answers(slices("10.1.2.3")) == ""


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ],
)
def test_a_clouds_metadata_is_never_asked_however_its_address_is_written(address: str) -> None:
    assert backed(HEADLESS, slices(address)).address == ""


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.1.1", "100.64.0.9", "fd12:3456::1", "2001:db8::1"])
def test_an_address_of_pods_is(address: str) -> None:
    assert backed(HEADLESS, slices(address)).address == address
