"""Settings of the whole suite: fixed Hypothesis seeds, the slow marker, and `tests/` on the path for shared strategies."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile(
    "fixed", derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds; `make check` leaves it out")
    # Folders mirror codesign/ and have no __init__.py, so file names repeat; importlib mode keeps them apart.
    config.option.importmode = "importlib"
