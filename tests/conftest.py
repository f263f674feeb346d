"""What all tests share: the hypothesis profile, data that lies beside the checkout where it does, interrupts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
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


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts are heard, also where the tests run in a shell's background, which ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
