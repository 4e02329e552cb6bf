"""What holds for every test: it sees nothing of who runs it, and real parts come from `tests.realparts`."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.realparts", "tests.programs", "tests.service", "tests.home", "tests.helm"]

# What would let a test reach somebody's cluster, or pass on one machine and fail on the next.
FOREIGN = (
    "KUBE",
    "POD_",
    "CONFIG_FILE",
    "CUSTOM_TOOLSET_",
    "HOLMES",
    "XDG_",
    "PROMETHEUS_",
    "DYNAMIC_TOOLSET_",
)


@pytest.fixture(scope="session", autouse=True)
def _nobodys_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(FOREIGN) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # ~/.kube/config
        patch.setenv("TZ", "UTC")
        yield


def pytest_configure() -> None:
    # A run stopped with TERM (by a CI at its time limit) gets its finalizers too: no server stays behind.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
