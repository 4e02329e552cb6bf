"""``dynamic-toolset webhook``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from process import log
from process.options import address, cluster_options, examples, log_options
from toolset.text import printable
from toolset.yaml_source import YamlError
from webhook.apiserver import ApiError, ApiServer
from webhook.app import REVIEWS
from webhook.config import Config, read_config
from webhook.metrics import Metrics
from webhook.registration import Registration, Target
from webhook.store import Memory, OwnSecret, SecretStore, Store
from webhook.upkeep import Upkeep, Wishes

LOOPBACK = ("127.0.0.1", "localhost")


@click.command(
    epilog=examples(
        "dynamic-toolset webhook --config guard.yaml --register service",
        "dynamic-toolset webhook --listen 127.0.0.1:8443 --register url --context staging",
    )
)
@click.option("--config", metavar="FILE", envvar="GUARD_CONFIG_FILE", help="The guard's guard.yaml.")
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

    Exit code: 78 the configuration is wrong.
    """
    log.set_up(log_format, log_level or "info")
    read = _config(config)
    namespace = os.environ.get("POD_NAMESPACE", "")
    if register == "service" and not namespace:
        _exit("POD_NAMESPACE is not set: give it by the downward API (fieldRef: metadata.namespace)")
    policy, metrics = read.policy(namespace), Metrics()
    target = _target(read, register, listen, namespace)
    api = None
    if register != "none" or read.certificate.mode != "self":
        try:
            api = ApiServer(kubeconfig, context)
        except ApiError as error:
            _exit(str(error))
    registration = Registration(api, read, policy, target) if api and register != "none" else None
    store = _store(read, api, register, namespace, target.host)
    upkeep = Upkeep(read, store, registration, Wishes(api, namespace), metrics, target.host)
    from webhook.server import DRAIN_SECONDS, Server  # noqa: PLC0415 - gunicorn is not needed to say what is wrong

    Server(policy, upkeep, metrics, listen, DRAIN_SECONDS if register == "service" else 1.0).run()


def _config(path: str | None) -> Config:
    if path is None:
        return Config()
    try:
        return read_config(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        _exit(f"{path}: cannot be read: {error}")
    except YamlError as error:
        _exit("\n".join(f"{path}: {problem}" for problem in error.problems))
    raise AssertionError


def _target(config: Config, register: str, listen: str, namespace: str) -> Target:
    if register == "service":
        host = f"{config.name}.{namespace}.svc"
        service = {
            "name": config.name,
            "namespace": namespace,
            "path": REVIEWS,
            "port": config.service_port,
        }
        return Target({"service": service}, host, f"https://{host}:{config.service_port}/health")
    host, _, port = listen.rpartition(":")
    host = host.strip("[]") if host not in {"0.0.0.0", "[::]"} else "127.0.0.1"  # noqa: S104 - asked, not bound
    base = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    return Target({"url": base + REVIEWS}, host, f"{base}/health", own=True)


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
