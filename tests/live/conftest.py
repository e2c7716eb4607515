"""The tests of the live service are skipped, all at once and saying why, where they can't run."""
import pathlib

import pytest

import harness


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = pathlib.Path(__file__).parent
    if lacking := harness.lacking():
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=lacking))
