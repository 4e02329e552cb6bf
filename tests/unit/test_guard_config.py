"""The guard's own configuration."""

from datetime import timedelta

import pytest

from toolset.yaml_source import YamlError
from webhook.config import Config, read_config


@pytest.mark.parametrize("text", ["", "guard:", "guard: {}"])
def test_nothing_means_the_defaults(text: str) -> None:
    assert read_config(text) == Config()


def test_what_is_said_counts() -> None:
    config = read_config(
        "guard: {enforce: false, service_accounts: [a/b, c/d], certificate: {mode: existing, settle: 1m}}"
    )
    assert config.enforce is False
    assert config.policy("home").writers == {"system:serviceaccount:a:b", "system:serviceaccount:c:d"}
    assert config.certificate.settle == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("7", "expected a mapping with the key guard"),
        ("guards: {}", "line 1: guards: unknown key; allowed is guard"),
        ("guard: {nonsense: 1}", "guard.nonsense: unknown key; allowed are certificate,"),
        ("guard: {enforce: yes please}", "guard.enforce: Not a valid boolean"),
        ("guard: {service_accounts: []}", "guard.service_accounts: Shorter than minimum length 1"),
        ("guard: {service_accounts: [me]}", "'me': expected NAMESPACE/NAME"),
        ("guard: {failure_policy: Open}", "Must be one of: Fail, Ignore"),
        ("guard: {timeout: 1m}", "allowed are 1s to 30s"),
        ("guard: {certificate: {mode: magic}}", "Must be one of: self, cert-manager, existing"),
        ("guard: {certificate: {lifetime: 8760h}}", "authority_lifetime: must be at least twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(text: str, problem: str) -> None:
    with pytest.raises(YamlError) as error:
        read_config(text)
    assert problem in str(error.value)
