"""What EndpointSlices tell of a Service: whether pods stand behind it, and where those of a headless one are.

The fields are those of the discovery.k8s.io/v1 API reference,
https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from toolset.service import Port, Service

Slice = Mapping[str, Any]

METADATA = tuple(
    map(
        ip_network,
        (
            "100.100.100.200/32",  # Alibaba Cloud: ECS instance metadata
            "168.63.129.16/32",  # Azure: What is IP address 168.63.129.16?
            "192.0.0.192/32",  # Oracle Cloud: Compute Classic instance metadata
            "fd00:ec2::/32",  # AWS: Instance Metadata Service over IPv6
            "fd20:ce::254/128",  # Google Cloud: metadata server, IPv6-only instances
            "fd00:42::42/128",  # Scaleway: Instance metadata over IPv6
        ),
    )
)
"""Where clouds keep a machine's secrets, besides link-local addresses."""

_NAT64 = ip_network("64:ff9b::/96")


def backed(service: Service, slices: Iterable[Slice]) -> Service:
    """A headless Service with the address and the ports of a ready pod; any other as it is.

    Whoever resolves its name gets the pods' addresses, so that the pods' ports are the ones to speak to,
    whatever the Service says.
    """
    if not service.headless:
        return service
    for one in slices:
        for address in ready_addresses(one):
            return replace(service, pod_ip=address, ports=_ports(service.ports, one))
    return service


def why_nobody_answers(slices: Iterable[Slice]) -> str:
    """What the slices say of a Service that does not answer; empty when they do not explain it."""
    anybody = any(address for one in slices for address in ready_addresses(one))
    return "" if anybody else "it has no ready endpoints"


def ready_addresses(one: Slice) -> Iterator[str]:
    """The addresses of its endpoints that are ready, and may be a pod's."""
    for endpoint in one.get("endpoints") or ():
        # API reference: a missing condition is to be read as ready.
        if (endpoint.get("conditions") or {}).get("ready", True) is False:
            continue
        for address in endpoint.get("addresses") or ():
            if _is_pods(str(address)):
                yield str(address)


def _is_pods(text: str) -> bool:
    """Slices of Services without a selector are somebody's choice: never the machine's own addresses."""
    try:
        address = ip_address(text)
    except ValueError:
        return False  # a name (addressType FQDN): whoever owns it decides where it leads
    if isinstance(address, IPv6Address):
        # The same address in another spelling (RFC 4291, 2.5.5.2; RFC 3056; RFC 6052).
        nat64 = ip_address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        address = address.ipv4_mapped or address.sixtofour or nat64 or address
    special = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return not special and not any(address in network for network in METADATA)


def _ports(ports: Iterable[Port], one: Slice) -> tuple[Port, ...]:
    by_name = {str(port.get("name") or ""): port.get("port") for port in one.get("ports") or ()}
    known = ((port, by_name.get(port.name)) for port in ports)
    return tuple(replace(port, number=number) if isinstance(number, int) else port for port, number in known)
