"""The guard of the chart: nothing random, rights by name, and its webhook works with exactly these."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.guard import NAME, OWN, POLICY, Guarded, generated
from tests.helm import CHART, Helm, Rendered, at
from tests.realparts import running_control_plane, until
from tests.service import free_address
from webhook.config import Config, read_config

BOTH = {"guard": {"mode": "both"}}
KUBERNETES = ("--kube-version", "1.35.0")


def config_of(rendered: Rendered) -> Config:
    """What the webhook's pods read."""
    template = rendered.one("Deployment", NAME)["spec"]["template"]
    return read_config(template["metadata"]["annotations"]["kubernaut.io/guard-config"])


@pytest.mark.parametrize(
    ("mode", "webhook", "policy"),
    [("webhook", True, False), ("policy", False, True), ("both", True, True), ("off", False, False)],
)
def test_a_mode_renders_what_it_says(helm: Helm, mode: str, webhook: bool, policy: bool) -> None:
    rendered = helm.render({"guard": {"mode": mode}}, *KUBERNETES)
    assert (f"Deployment/{NAME}" in rendered.names()) == webhook
    assert bool(rendered.all("ValidatingAdmissionPolicy")) == policy
    assert bool(rendered.all("ValidatingAdmissionPolicyBinding")) == policy
    assert not rendered.all("ValidatingWebhookConfiguration"), "the webhook registers itself, once it serves"


@pytest.mark.parametrize(
    ("values", "guarded"),
    [
        ({}, True),
        ({"writer": "sidecar"}, True),
        ({"writer": "sidecar", "sidecar": {"ownIdentity": False}}, False),
        ({"writer": "none"}, False),
    ],
)
def test_by_default_who_writes_config_maps_guards_them(
    helm: Helm, values: dict[str, Any], guarded: bool
) -> None:
    assert (f"Deployment/{NAME}" in helm.render(values).names()) == guarded


def test_off_without_quotes_is_off(helm: Helm) -> None:
    assert f"Deployment/{NAME}" not in helm.render({"guard": {"mode": False}}).names()


def test_by_default_the_chart_says_what_the_webhook_takes_for_granted(helm: Helm) -> None:
    assert config_of(helm.render(BOTH, *KUBERNETES)) == Config()


def test_what_is_set_reaches_webhook_and_policy(helm: Helm) -> None:
    guard = {
        "mode": "both",
        "enforce": False,
        "protectDelete": True,
        "serviceAccounts": ["elsewhere/other"],
        "trustedUsers": ['o\'neill "x"'],
        "trustedGroups": ["oncall"],
        "failurePolicy": "Ignore",
        "timeoutSeconds": 3,
        "certificate": {"mode": "existing", "secretName": "mine"},
    }
    rendered = helm.render({"guard": guard}, *KUBERNETES)
    config = config_of(rendered)
    assert config.service_accounts == (f"{OWN}/kubernaut-service-discovery", "elsewhere/other")
    assert (config.enforce, config.protect_delete, config.failure_policy) == (False, True, "Ignore")
    assert (config.trusted_users, config.trusted_groups) == (('o\'neill "x"',), ("oncall",))
    assert config.timeout.total_seconds() == 3
    assert (config.certificate.mode, config.certificate.secret) == ("existing", "mine")
    policy = rendered.one("ValidatingAdmissionPolicy")["spec"]
    variables = {variable["name"]: variable["expression"] for variable in policy["variables"]}
    assert variables["trustedUsers"] == '["o\'neill \\"x\\""]'
    assert "system:serviceaccount:elsewhere:other" in variables["writers"]
    assert "DELETE" in policy["matchConstraints"]["resourceRules"][0]["operations"]
    assert rendered.one("ValidatingAdmissionPolicyBinding")["spec"]["validationActions"] == ["Warn", "Audit"]


def test_the_policy_is_the_files_but_for_what_is_set(helm: Helm) -> None:
    file = next(iter(yaml.safe_load_all(POLICY.read_text())))["spec"]
    spec = helm.render(BOTH, *KUBERNETES).one("ValidatingAdmissionPolicy")["spec"]
    for variable in (*file["variables"][:5], *spec["variables"][:5]):
        variable["expression"] = str(yaml.safe_load(variable["expression"]))
    assert spec == file


def test_nothing_of_a_certificate_is_rendered(helm: Helm) -> None:
    secret = helm.render(BOTH, *KUBERNETES).one("Secret", NAME)
    assert "data" not in secret
    assert "stringData" not in secret


@pytest.mark.parametrize("issuer", [{}, {"kind": "ClusterIssuer", "name": "internal"}])
def test_cert_manager_is_asked_for_the_services_name(helm: Helm, issuer: dict[str, str]) -> None:
    guard = {"mode": "webhook", "certificate": {"mode": "cert-manager", "issuerRef": issuer}}
    rendered = helm.render({"guard": guard}, *KUBERNETES)
    spec = rendered.one("Certificate", NAME)["spec"]
    assert spec["dnsNames"] == [f"{NAME}.{OWN}.svc"]
    assert spec["issuerRef"] == (issuer or {"kind": "Issuer", "name": NAME})
    assert len(rendered.all("Issuer")) == (0 if issuer else 2)
    assert f"Secret/{NAME}" not in rendered.names()


def test_its_account_reads_and_writes_by_name_alone(helm: Helm) -> None:
    rendered = helm.render(BOTH, *KUBERNETES)
    for kind in ("Role", "ClusterRole"):
        for rule in rendered.one(kind, NAME)["rules"]:
            assert rule["resourceNames"]
            assert {"list", "watch", "delete", "*"}.isdisjoint(rule["verbs"])


def test_its_pods_are_not_the_services(helm: Helm) -> None:
    labels = helm.render(BOTH, *KUBERNETES).one("Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "toolset-webhook"


@pytest.mark.parametrize(
    ("guard", "version", "sentence"),
    [
        ({"mode": "policy"}, "1.29.0", "Kubernetes has from 1.30"),
        ({"mode": "both"}, "1.29.0", "Use guard.mode=webhook"),
        ({"mode": "webhook", "certificate": {"mode": "existing"}}, "1.35.0", "must say which Secret"),
        ({"mode": "maybe"}, "1.35.0", "at '/guard/mode'"),
        ({"serviceAccounts": ["me"]}, "1.35.0", "at '/guard/serviceAccounts/0'"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(
    helm: Helm, guard: dict[str, Any], version: str, sentence: str
) -> None:
    assert sentence in helm.refusal({"guard": guard}, "--kube-version", version)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("guard")
    with running_control_plane(directory / "plane") as plane:
        it = Guarded(plane, directory)
        yield it
        for webhook in it.webhooks:
            webhook.kill()


def test_the_webhook_works_with_its_rights_and_goes_with_the_release(
    guarded: Guarded, helm: Helm, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plane = guarded.plane
    plane.kubectl("delete", "serviceaccount", "kubernaut-service-discovery", "-n", OWN)
    cluster = Helm(tmp_path_factory.mktemp("helm"), plane.kubeconfig)
    cluster.run("install", "guard", str(CHART), "-n", OWN, values={"guard": {"mode": "webhook"}})
    account = guarded.account(OWN, NAME)
    guarded.kubeconfig = account.kubeconfig
    guarded.config = {"patience": "0s"}
    webhook = guarded.serve("--register", "service", listen=free_address())
    registration = plane.kubectl("get", "validatingwebhookconfiguration", NAME, "-o", "json")
    owner = at(yaml.safe_load(registration), "metadata.ownerReferences.0")
    assert (owner["kind"], owner["name"]) == ("ClusterRole", NAME)
    told = webhook.log.read_text()
    assert "ERROR" not in told
    for verb, what in (("create", "configmaps"), ("list", "secrets"), ("update", "clusterroles")):
        assert account("auth", "can-i", verb, what, "-n", OWN).out.strip() == "no"

    before = plane.kubectl("get", "secret", NAME, "-n", OWN, "-o", "jsonpath={.data}")
    cluster.run(
        "upgrade", "guard", str(CHART), "-n", OWN, values={"guard": {"mode": "webhook", "replicas": 1}}
    )
    assert plane.kubectl("get", "secret", NAME, "-n", OWN, "-o", "jsonpath={.data}") == before

    assert webhook.end() == 0
    cluster.run("uninstall", "guard", "-n", OWN)
    find = ("get", "validatingwebhookconfiguration", "-o", "name")
    until(lambda: not plane.kubectl(*find), "the registration went with its owner")


def test_the_charts_policy_is_in_force_and_goes_with_the_release(
    guarded: Guarded, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cluster = Helm(tmp_path_factory.mktemp("helm"), guarded.plane.kubeconfig)
    cluster.run("install", "policy", str(CHART), "-n", OWN, values={"guard": {"mode": "policy"}})
    create = ("create", "--dry-run=server", "-f", "-")
    until(lambda: guarded.stranger(*create, input=generated("default")).denied, "it is in force")
    service = guarded.account(OWN, "kubernaut-service-discovery")
    assert service(*create, input=generated("default")).ok
    cluster.run("uninstall", "policy", "-n", OWN)
    until(lambda: guarded.stranger(*create, input=generated("default")).ok, "it is gone")
