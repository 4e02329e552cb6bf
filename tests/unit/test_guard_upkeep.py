"""What the guard stands on is kept: a certificate is announced before it is served, replicas agree."""

import base64
import copy
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from webhook import certificates, tls, upkeep
from webhook.apiserver import ApiError
from webhook.certificates import Lifetimes, Pair, read, renewed
from webhook.config import Certificate, Config
from webhook.metrics import Metrics
from webhook.registration import PATH, Registration, Target, bundle_of
from webhook.store import Memory, OwnSecret, SecretStore, Store
from webhook.upkeep import Upkeep, Wishes

HOST = "kubernaut-toolset-webhook.home.svc"
SECRET = "/api/v1/namespaces/home/secrets/kubernaut-toolset-webhook"
CONFIG = "/api/v1/namespaces/home/configmaps/kubernaut-dynamic-toolset-config"
LIVES = Lifetimes()


class Objects:
    """An API server of a few objects; each write gives another version, an older one conflicts."""

    def __init__(self, **objects: Any) -> None:
        self.objects: dict[str, Any] = {SECRET: {"metadata": {"resourceVersion": "1"}, "type": "Opaque"}}
        self.failure: ApiError | None = None
        self.writes = 0

    def get(self, path: str) -> Any:
        if self.failure:
            raise self.failure
        return copy.deepcopy(self.objects.get(path))

    def replace(self, path: str, obj: Any) -> Any:
        there = self.objects[path]["metadata"]["resourceVersion"]
        if obj["metadata"]["resourceVersion"] != there:
            raise ApiError("conflict", 409)
        self.objects[path] = {**obj, "metadata": {"resourceVersion": f"{int(there) + 1}"}}
        self.writes += 1
        return self.objects[path]

    def apply(self, path: str, obj: Any, manager: str) -> Any:
        self.objects[path] = copy.deepcopy(obj)
        self.writes += 1
        return obj

    def delete(self, path: str) -> None:
        self.objects.pop(path, None)


def own_secret(api: Any) -> OwnSecret:
    return OwnSecret(api, "home", "kubernaut-toolset-webhook", [HOST], LIVES)


def upkeep_of(api: Any, store: Store | None = None, rollout: Any = None, **config: Any) -> Upkeep:
    read_config = Config(patience=timedelta(0), **config)
    target = Target({"name": "x", "namespace": "home"}, f"https://{HOST}", HOST)
    registration = Registration(api, read_config, read_config.policy("home"), target)
    store = store or own_secret(api)
    metrics = Metrics(CollectorRegistry())
    return Upkeep(read_config, store, registration, Wishes(api, "home"), metrics, HOST, rollout)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        wall = certificates.now()
        monotonic = 1000.0

        def forward(self, **time: float) -> None:
            self.wall += timedelta(**time)
            self.monotonic += timedelta(**time).total_seconds()

    clock = Clock()
    monkeypatch.setattr(certificates, "now", lambda: clock.wall)
    monkeypatch.setattr(upkeep.time, "monotonic", lambda: clock.monotonic)
    return clock


def test_the_first_look_makes_serves_and_registers(clock: Any) -> None:
    api = Objects()
    it = upkeep_of(api)
    assert it.unready
    clock.forward(seconds=1)
    it.look()
    assert it.unready == ""
    registered = bundle_of([api.objects[PATH + "/kubernaut-toolset-webhook"]])
    assert tls.why_distrusted(it.context, registered, HOST) == ""


def test_replicas_that_start_together_agree_on_one_certificate() -> None:
    api = Objects()

    class Late(Objects):
        """The other replica writes between our read and our write."""

        def get(self, path: str) -> Any:
            found = super().get(path)
            if path == SECRET and not api.writes:
                own_secret(api).load(certificates.now())
            return found

    late = Late()
    late.objects = api.objects
    assert own_secret(late).load(certificates.now()) == own_secret(api).load(certificates.now())
    assert api.writes == 1


def test_an_emptied_secret_is_filled_again_with_what_it_held(caplog: pytest.LogCaptureFixture) -> None:
    api = Objects()
    store = own_secret(api)
    before = store.load(certificates.now())
    api.objects[SECRET] = {"metadata": {"resourceVersion": "9"}, "data": None}
    assert store.load(certificates.now()) == before
    assert api.objects[SECRET]["data"]["tls.crt"]


def test_a_secret_that_is_not_there_is_asked_for() -> None:
    api = Objects()
    del api.objects[SECRET]
    with pytest.raises(ApiError, match="Secret home/kubernaut-toolset-webhook is not there"):
        own_secret(api).load(certificates.now())


def test_a_new_authority_is_announced_before_what_it_signed_is_served(clock: Any) -> None:
    api = Objects()
    it = upkeep_of(api, certificate=Certificate(settle=timedelta(seconds=5)))
    clock.forward(seconds=1)
    clock.wall -= timedelta(days=21)  # a handshake looks at the real clock
    it.look()
    served = it.context
    clock.wall += timedelta(days=20.5)  # the certificate is due; its authority's life is a year
    it.look()
    assert it.context is served
    clock.forward(seconds=6)
    it.look()
    assert it.context is not served
    assert it.unready == ""


def test_what_nobody_trusts_is_replaced_at_once(clock: Any) -> None:
    api = Objects()
    it = upkeep_of(api)
    clock.forward(seconds=1)
    it.look()
    served = it.context
    api.objects[PATH + "/kubernaut-toolset-webhook"]["webhooks"] = []
    api.objects[SECRET]["data"] = {
        key: base64.b64encode(value).decode()
        for key, value in (renewed({}, [HOST], clock.wall, LIVES) or {}).items()
    }
    it.look()
    assert it.context is not served
    assert it.unready == ""


def test_a_foreign_ca_bundle_is_put_right(clock: Any) -> None:
    api = Objects()
    it = upkeep_of(api)
    clock.forward(seconds=1)
    it.look()
    entry = api.objects[PATH + "/kubernaut-toolset-webhook"]["webhooks"][0]
    for change in ({"caBundle": ""}, {"caBundle": base64.b64encode(b"x").decode()}, {"url": "https://evil"}):
        entry["clientConfig"] |= change
        it.look()
        entry = api.objects[PATH + "/kubernaut-toolset-webhook"]["webhooks"][0]
        assert set(entry["clientConfig"]) == {"caBundle", "service"}
        assert it.unready == ""


def test_what_is_as_it_should_be_is_not_written(clock: Any) -> None:
    api = Objects()
    it = upkeep_of(api)
    clock.forward(seconds=1)
    it.look()
    writes = api.writes
    it.look()
    assert api.writes == writes


def test_without_the_api_server_what_is_served_goes_on(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    api = Objects()
    it = upkeep_of(api)
    clock.forward(seconds=1)
    it.look()
    api.failure = ApiError("no answer")
    it.look()
    it.look()
    assert it.unready == ""
    assert caplog.text.count("no answer; tried again") == 1


def test_before_anything_is_served_it_is_told_why_not() -> None:
    api = Objects()
    api.failure = ApiError("no answer")
    it = upkeep_of(api)
    it.look()
    assert it.unready == "no answer"


def test_somebody_elses_secret_is_only_read() -> None:
    api = Objects()
    files = renewed({}, [HOST], certificates.now(), LIVES) or {}
    api.objects[SECRET]["data"] = {key: base64.b64encode(value).decode() for key, value in files.items()}
    pair = SecretStore(api, "home", "kubernaut-toolset-webhook").load(certificates.now())  # type: ignore[arg-type]
    assert pair == read(files)
    assert not api.writes


def test_a_process_alone_keeps_its_certificate_to_itself(clock: Any) -> None:
    store = Memory([HOST], LIVES)
    first: Pair = store.load(clock.wall)
    assert store.load(clock.wall) == first
    assert store.load(clock.wall + timedelta(days=25)) != first


def test_the_services_allowed_variables_are_read_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    api: Any = Objects()
    text = "service_discovery: {credentials: {allowed_env: [ONE, 2]}}"
    api.objects[CONFIG] = {"data": {"config.yaml": text}}
    wishes = Wishes(api, "home")
    assert wishes.allowed_env is None
    assert wishes.refresh(older_than=0)
    assert wishes.allowed_env == {"ONE"}
    api.objects[CONFIG]["data"]["config.yaml"] = "service_discovery: ["
    assert not wishes.refresh(older_than=0)
    assert wishes.allowed_env == {"ONE"}
    assert "last good one stays" in caplog.text
    del api.objects[CONFIG]
    wishes.refresh(older_than=0)
    assert wishes.allowed_env == frozenset()


def test_holmesgpt_is_restarted_when_every_api_server_has_had_time_to_learn(clock: Any) -> None:
    class Restarts:
        times = 0

        def restart_once(self, now: Any) -> None:
            self.times += 1

    rollout = Restarts()
    it = upkeep_of(Objects(), rollout=rollout, certificate=Certificate(settle=timedelta(seconds=5)))
    clock.forward(seconds=1)
    it.look()
    assert it.unready == ""
    clock.forward(seconds=4)
    it.look()
    assert rollout.times == 0
    clock.forward(seconds=1)
    it.look()
    assert rollout.times == 1
