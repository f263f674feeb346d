"""What all tests share: the hypothesis profile, and data that lies beside the checkout where it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

settings.register_profile(
    "ci", derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", parent=settings.get_profile("ci"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder ../shared/data with CIFAR-10, MNIST and official checkpoints; skips the test where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the data folder {os.path.relpath(SHARED, ROOT)}, which is not there")
    return SHARED
