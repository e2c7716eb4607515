"""What all tests of the live service share. They are skipped, all at once and saying why, where they can't run."""
import pathlib
from collections.abc import Iterator
from typing import NoReturn

import pytest

import harness
from days import Begun
from harness import Fake, LiveRun


def without(kind: str, why: str) -> NoReturn:
    """Skips a test that needs what isn't here, or fails it where MAGELLAN_REQUIRE names that kind."""
    if harness.required(kind):
        pytest.fail(f"MAGELLAN_REQUIRE names {kind}: {why}")
    pytest.skip(why)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = pathlib.Path(__file__).parent
    if lacking := harness.lacking():
        if harness.required("live"):
            pytest.exit(f"MAGELLAN_REQUIRE names live: {lacking}", returncode=1)
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=lacking))


@pytest.fixture(scope="session")
def fake() -> Iterator[Fake]:
    """One stand-in for all tests; each begins with a new world."""
    running = Fake("--lifetime", "3600")
    yield running
    running.close()


@pytest.fixture
def begun(tmp_path: pathlib.Path, fake: Fake) -> Iterator[Begun]:
    """Makes live runs, and ends what is left of them."""
    runs: list[LiveRun] = []

    def make(strategy: str, now: str, **more: object) -> LiveRun:
        runs.append(LiveRun(tmp_path, strategy, now, fake=fake, **more))
        return runs[-1]
    yield make
    for run in runs:
        run.close()
