"""``dynamic-toolset webhook``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from process import log
from process.options import address, cluster_options, examples, log_options
from toolset.text import printable
from toolset.yaml_source import YamlError
from webhook.apiserver import ApiError, ApiServer
from webhook.app import Injector, Reviewer
from webhook.config import Config, read_config, read_injection
from webhook.metrics import Metrics
from webhook.registration import Registration, Target
from webhook.rollout import Rollout
from webhook.store import Memory, OwnSecret, SecretStore, Store
from webhook.upkeep import Upkeep, Wishes

T = TypeVar("T")

LOOPBACK = ("127.0.0.1", "localhost")


@click.command(
    epilog=examples(
        "dynamic-toolset webhook --config guard.yaml --register service",
        "dynamic-toolset webhook --listen 127.0.0.1:8443 --register url --context staging",
    )
)
@click.option("--config", metavar="FILE", envvar="GUARD_CONFIG_FILE", help="The guard's guard.yaml.")
@click.option(
    "--injection",
    metavar="FILE",
    envvar="INJECTION_FILE",
    help="What is added to HolmesGPT's pods, as the chart writes it: see docs/install.md.",
)
@click.option(
    "--restart/--no-restart",
    envvar="DYNAMIC_TOOLSET_RESTART",
    default=True,
    show_default=True,
    help="Whether HolmesGPT's Deployments are restarted where their pods are older than the injection.",
)
@click.option(
    "--withdraw",
    is_flag=True,
    envvar="DYNAMIC_TOOLSET_WITHDRAW",
    help="Take the registration back, restart HolmesGPT without what was injected, and end.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    envvar="DYNAMIC_TOOLSET_LISTEN",
    default="0.0.0.0:8443",
    show_default=True,
    callback=address,
    help="Where reviews, /health, /ready and /metrics are served, over TLS.",
)
@click.option(
    "--register",
    type=click.Choice(["service", "url", "none"]),
    envvar="DYNAMIC_TOOLSET_REGISTER",
    default="none",
    show_default=True,
    help="How the API server is sent here: by the Service, by our URL until we end, or by somebody else.",
)
@cluster_options
@log_options
def webhook(
    config: str | None,
    injection: str | None,
    restart: bool,
    withdraw: bool,
    listen: str,
    register: str,
    kubeconfig: str,
    context: str,
    log_format: str,
    log_level: str,
) -> None:
    """Guard what is generated, as a webhook.

    It admits writes of the service alone.

    POD_NAMESPACE is the service's own namespace, of the overrides and of the guard's Secret.

    Exit codes: 1 not all could be withdrawn; 78 the configuration is wrong.
    """
    log.set_up(log_format, log_level or "info")
    read = _read(config, read_config) if config else Config()
    added = _read(injection, read_injection) if injection else None
    namespace = os.environ.get("POD_NAMESPACE", "")
    if register == "service" and not namespace:
        _exit("POD_NAMESPACE is not set: give it by the downward API (fieldRef: metadata.namespace)")
    policy, metrics = read.policy(namespace), Metrics()
    target = _target(read, register, listen, namespace)
    api = None
    if withdraw or register != "none" or read.certificate.mode != "self":
        try:
            api = ApiServer(kubeconfig, context)
        except ApiError as error:
            _exit(str(error))
    registers = api and (withdraw or register != "none")
    registration = Registration(api, read, policy, target, added) if api and registers else None
    rollout = Rollout(api, added) if api and added and restart else None
    if withdraw:
        _withdraw(registration, rollout)
        return
    store = _store(read, api, register, namespace, target.host)
    upkeep = Upkeep(read, store, registration, Wishes(api, namespace), metrics, target.host, rollout)
    from webhook.server import DRAIN_SECONDS, Server  # noqa: PLC0415 - gunicorn is not needed to say what is wrong

    reviewer = Reviewer(policy, upkeep, metrics)
    injector = Injector(added, metrics) if added else None
    drain = DRAIN_SECONDS if register == "service" else 1.0
    Server(reviewer, injector, upkeep, metrics, listen, drain).run()


def _withdraw(registration: Registration | None, rollout: Rollout | None) -> None:
    """First the registration, or new pods would be injected again."""
    try:
        if registration:
            registration.withdraw()
        if rollout:
            rollout.undo()
    except ApiError as error:
        click.echo(f"Error: {printable(str(error), 1000)}", err=True)
        sys.exit(1)


def _read(path: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        _exit(f"{path}: cannot be read: {error}")
    except YamlError as error:
        _exit("\n".join(f"{path}: {problem}" for problem in error.problems))
    raise AssertionError


def _target(config: Config, register: str, listen: str, namespace: str) -> Target:
    if register == "service":
        host = f"{config.name}.{namespace}.svc"
        service = {"name": config.name, "namespace": namespace, "port": config.service_port}
        return Target(service, f"https://{host}:{config.service_port}", host)
    host, _, port = listen.rpartition(":")
    host = host.strip("[]") if host not in {"0.0.0.0", "[::]"} else "127.0.0.1"  # noqa: S104 - asked, not bound
    return Target({}, f"https://{f'[{host}]' if ':' in host else host}:{port}", host, own=True)


def _store(config: Config, api: ApiServer | None, register: str, namespace: str, host: str) -> Store:
    certificate = config.certificate
    hosts = [host, f"{host}.cluster.local"] if register == "service" else sorted({host, *LOOPBACK})
    if api is None or (certificate.mode == "self" and register != "service"):
        return Memory(hosts, certificate.lifetimes)
    if not namespace:
        _exit(f"POD_NAMESPACE is not set: where is the Secret {certificate.secret}?")
    if certificate.mode == "self":
        return OwnSecret(api, namespace, certificate.secret, hosts, certificate.lifetimes)
    return SecretStore(api, namespace, certificate.secret)


def _exit(message: str) -> Any:
    for line in message.splitlines():
        click.echo(f"Error: {printable(line, 1000)}", err=True)
    sys.exit(os.EX_CONFIG)
