"""What completes a Service that asks for a login: where its Secret is, what HolmesGPT and we are to be told.

Pure text: no Secret is read, here or elsewhere. What is suggested is for the operator to judge: a Service's
labels are its owner's word.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from string import Template
from typing import Any

from toolset.backend import KnownSecret, Login
from toolset.credentials import Binding, Credentials
from toolset.discovered import Discovered, Status
from toolset.service import Service

_SECRET_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
"""Kubernetes: Object Names and IDs, DNS subdomain names."""


@dataclass(frozen=True)
class Completion:
    """How one Service is completed: by what is in ``secret``, and ``values`` that are no secret.

    ``keys`` are where in the Secret each need is, ``variables`` how HolmesGPT's environment calls it.
    ``known`` is who makes the Secret, in the Service's namespace; None if somebody has to make one.
    """

    found: Discovered
    login: Login
    secret: str
    keys: Mapping[str, str]
    variables: Mapping[str, str]
    values: Mapping[str, str] = field(default_factory=dict)
    known: KnownSecret | None = None

    @property
    def binding(self) -> Binding:
        """The entry of ``credentials.bindings``."""
        bound = {need: f"{{{{ env.{self.variables[need]} }}}}" for need in self.keys}
        ordered = {need: bound.get(need) or self.values[need] for need in self.login.needs}
        return Binding(self.found.service.key, self.found.type, ordered)

    @property
    def environment(self) -> list[dict[str, Any]]:
        """The entries of ``additionalEnvVars`` (Kubernetes: EnvVar), in HolmesGPT's namespace."""
        return [
            {
                "name": self.variables[need],
                "valueFrom": {"secretKeyRef": {"name": self.secret, "key": key}},
            }
            for need, key in self.keys.items()
        ]


def may_want_login(found: Discovered) -> bool:
    """Whether it asks for a login that HolmesGPT can give, or was not asked."""
    return found.backend.credentials is not None and found.status in {
        Status.NEEDS_CREDENTIALS,
        Status.UNPROVEN,
    }


def wants_login(found: Discovered) -> bool:
    """Whether it asks for one, or would: of what was not asked, where nobody gets in without one."""
    return may_want_login(found) and (found.status is Status.NEEDS_CREDENTIALS or found.backend.login)


def complete(several: Iterable[Discovered]) -> list[Completion]:
    """How each of them is completed; of those that HolmesGPT can log in to. No two share a variable."""
    completions = [
        _complete(found, found.backend.credentials) for found in several if found.backend.credentials
    ]
    used = Counter(name for it in completions for name in it.variables.values())
    return [
        it if all(used[name] == 1 for name in it.variables.values()) else _distinct(it) for it in completions
    ]


def _complete(found: Discovered, credentials: Login) -> Completion:
    service = found.service
    for login in credentials.ways:
        for known in login.secrets:
            name = _secret_name(service, known)
            if name:
                variables = {need: _variable(service, need) for need in known.keys}
                return Completion(found, login, name, known.keys, variables, known.values, known)
    keys = {need: need.replace("_", "-") for need in credentials.needs}
    name = f"holmesgpt-{service.namespace}-{service.name}"[:253].rstrip("-.")
    return Completion(found, credentials, name, keys, {need: _variable(service, need) for need in keys})


def _secret_name(service: Service, known: KnownSecret) -> str:
    """The name of the Secret that goes with a Service; empty if none is known to."""
    if not all(fnmatchcase(service.labels.get(label, ""), value) for label, value in known.where.items()):
        return ""
    if not all(service.labels.get(label) for label in known.where):
        return ""
    if known.label:
        instance = service.labels.get(known.label) or service.selector.get(known.label, "")
    else:
        found = known.service.fullmatch(service.name)
        instance = found["instance"] if found else ""
    name = Template(known.secret).substitute(instance=instance)
    return name if instance and _SECRET_NAME.fullmatch(name) else ""


def _variable(service: Service, need: str) -> str:
    """A variable's name (POSIX.1-2017, 8.1) that tells whose it is."""
    name = re.sub(r"[^A-Z0-9]", "_", f"{service.namespace}_{service.name}_{need}".upper())
    return f"_{name}" if name[0].isdigit() else name


def _distinct(it: Completion) -> Completion:
    """With a hash of the Service in the names of variables that another's are called too: a-b/c and a/b-c."""
    suffix = hashlib.sha256(it.found.service.key.encode()).hexdigest()[:6].upper()
    variables = {need: f"{name}_{suffix}" for need, name in it.variables.items()}
    return Completion(it.found, it.login, it.secret, it.keys, variables, it.values, it.known)


def configuration(completions: Sequence[Completion], present: Credentials) -> dict[str, Any]:
    """``config.yaml`` with these beside what is bound already."""
    bindings = [*present.bindings, *(it.binding for it in completions)]
    new = (name for it in completions for name in it.variables.values())
    return {
        "service_discovery": {
            "credentials": {
                "allowed_env": list(dict.fromkeys((*present.allowed_env, *new))),
                "bindings": [_entry(binding) for binding in bindings],
            }
        }
    }


def _entry(binding: Binding) -> dict[str, Any]:
    entry = {"service": binding.service, "type": binding.type, "values": dict(binding.values)}
    return {**entry, "insecure_tls": True} if binding.insecure_tls else entry


def holmesgpt_values(completions: Sequence[Completion]) -> dict[str, Any]:
    """The values of HolmesGPT's chart that give its container the variables."""
    return {"additionalEnvVars": [entry for it in completions for entry in it.environment]}


def commands(it: Completion, holmesgpt_namespace: str) -> list[str]:
    """What brings the Secret to where HolmesGPT's pod can read it: its own namespace. None prints a value."""
    source, target = it.found.service.namespace, holmesgpt_namespace
    if it.known is None:
        literals = " ".join(f"--from-literal={key}='…'" for key in it.keys.values())
        return [f"kubectl create secret generic {it.secret} -n {target} {literals}"]
    look = f"kubectl describe secret {it.secret} -n {source}"
    if source == target:
        return [look]
    data = ",".join(f'"{key}":"{{{{index .data "{key}"}}}}"' for key in it.keys.values())
    manifest = f'{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"{it.secret}"}},"data":{{{data}}}}}'
    read = f"kubectl get secret {it.secret} -n {source} -o go-template='{manifest}'"
    return [look, f"{read} | kubectl apply -n {target} -f -"]
