"""What the owner of a Service may ask for by annotations, and what is refused."""

import pytest

from tests.unit.builders import asking, service
from toolset.annotations import NO_WISHES, Address, AnnotationError, Wishes, read_wishes

DOMAIN = "cluster.local"


def wishes(toolset: str = "", **given: str) -> Wishes:
    return read_wishes(service(annotations=asking(toolset, **given), ports=["web:9090", "http:80"]), DOMAIN)


def test_a_service_without_annotations_wishes_nothing() -> None:
    assert read_wishes(service(), DOMAIN) == NO_WISHES


@pytest.mark.parametrize(
    ("value", "enabled"),
    [("enabled", True), ("true", True), ("True", True), ("disabled", False), ("FALSE", False)],
)
def test_the_switch_is_on_or_off(value: str, enabled: bool) -> None:
    assert wishes(value).enabled is enabled


def test_a_switch_that_is_not_there_says_nothing() -> None:
    assert wishes(type="lamp").enabled is None


def test_the_empty_switch_is_refused() -> None:
    with pytest.raises(AnnotationError, match="enabled or disabled"):
        read_wishes(service(annotations={"kubernaut.io/toolset": ""}), DOMAIN)


def test_all_wishes_are_heard_together() -> None:
    assert wishes("enabled", type="my-lamp", name="Lamp.1", health_path="/ok", endpoint="/api") == Wishes(
        True, "my-lamp", "Lamp.1", Address(path="/api"), "/ok"
    )


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("/prom", Address(path="/prom")),
        ("/prom/", Address(path="/prom")),
        ("/", Address()),
        ("http://prometheus:9090", Address("http", 9090)),
        ("http://prometheus", Address("http", 80)),
        ("https://prometheus.shop:9090/prom/", Address("https", 9090, "/prom")),
        ("http://prometheus.shop.svc:9090", Address("http", 9090)),
        ("http://prometheus.shop.svc.cluster.local:9090", Address("http", 9090)),
        ("HTTP://PROMETHEUS:9090", Address("http", 9090)),
    ],
)
def test_the_endpoint_may_be_any_url_of_the_service_itself(endpoint: str, address: Address) -> None:
    assert wishes(endpoint=endpoint).address == address


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://grafana.shop.svc:9090",
        "http://prometheus.other.svc:9090",
        "http://prometheus.shop.svc.example.org:9090",
        "http://kubernetes.default.svc:9090",
        "http://169.254.169.254:80/latest/meta-data",
        "http://127.0.0.1:9090",
        "http://[::1]:9090",
        "http://2130706433:9090",
        "http://user:pass@prometheus:9090",
        "http://prometheus@example.org:9090",
        "http://example.org:9090@prometheus:9090",
        "http://prometheus:1",
        "http://prometheus:99999",
        "http://prometheus:port",
        "https://prometheus",
        "ftp://prometheus:9090",
        "file:///etc/passwd",
        "prometheus:9090",
        "//example.org/",
        "http://[",
        "http://prometheus:9090/?query=up",
        "http://prometheus:9090/#top",
        "http://prometheus:9090/../admin",
        "http://prometheus:9090/{{ env.TOKEN }}",
        "/{{env.TOKEN}}",
        "/a b",
        "/" + "a" * 200,
    ],
)
def test_an_endpoint_of_anybody_else_is_refused(endpoint: str) -> None:
    with pytest.raises(AnnotationError, match=r"-endpoint=.* is refused; allowed: a URL of this Service"):
        wishes(endpoint=endpoint)


def test_a_port_that_the_service_has_not_is_named() -> None:
    with pytest.raises(AnnotationError, match="the Service has no port 3000"):
        wishes(endpoint="http://prometheus:3000")


@pytest.mark.parametrize(
    "path", ["healthz", "http://example.org/", "/a?b", "/../x", "//x", "/a\nb", "/{%x%}"]
)
def test_a_health_path_is_a_plain_path(path: str) -> None:
    with pytest.raises(AnnotationError, match=r"-health-path=.* allowed: a plain path such as /healthz"):
        wishes(health_path=path)


@pytest.mark.parametrize(
    "kind", ["Lamp", "1lamp", "la_mp", "lamp/x", "-lamp", "lamp-", "a" * 32, "{{x}}", "a\n"]
)
def test_a_type_is_a_short_plain_word(kind: str) -> None:
    with pytest.raises(AnnotationError, match="-type="):
        wishes(type=kind)


@pytest.mark.parametrize("name", ["a b", "a/b", "-a", "a.", "a" * 64, "{{x}}", "ä", "a\n", "a: b"])
def test_a_name_is_short_and_plain(name: str) -> None:
    with pytest.raises(AnnotationError, match="-name="):
        wishes(name=name)


def test_a_refusal_shows_control_characters_as_escapes_and_is_short() -> None:
    with pytest.raises(AnnotationError) as refused:
        wishes("\x1b[2J" + "x" * 10_000)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 250


def test_no_annotation_names_a_credential() -> None:
    with pytest.raises(AnnotationError, match="toolset-token' is not known; known are"):
        wishes(type="lamp", token="{{ env.TOKEN }}")


def test_a_misspelt_annotation_does_not_go_unnoticed() -> None:
    with pytest.raises(AnnotationError, match="toolset-helth-path' is not known"):
        wishes(type="lamp", helth_path="/healthz")


def test_of_a_service_without_a_selector_no_path_and_no_port_is_heard() -> None:
    annotations = asking("enabled", type="lamp", endpoint="http://prometheus:9090/x", health_path="/delete")
    heard = read_wishes(service(selector={}, annotations=annotations), DOMAIN)
    assert heard == Wishes(enabled=True, type="lamp")
