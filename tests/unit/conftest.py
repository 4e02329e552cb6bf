"""What several of these tests share."""

import gc
from collections.abc import Iterator

import pytest

from tests.unit.builders import service
from tests.unit.discovering import Cluster
from tests.unit.servers import Farm


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    farm = Farm()
    yield farm
    farm.stop()
    gc.collect()


@pytest.fixture
def lamp() -> Cluster:
    """A cluster of one lamp."""
    return Cluster(service("lamp", uid="1"))
