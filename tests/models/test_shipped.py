"""Shipped networks for CIFAR-10: every one has a card, and the card says what `bnnhw eval` measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnnhw import models
from bnnhw.cli.evaluate import accuracy
from bnnhw.cli.progress import Stages
from bnnhw.models import data
from bnnhw.models.catalogue import WEIGHTS

CARDS = WEIGHTS.parent / "README.md"
NAMES = sorted(path.stem for path in WEIGHTS.glob("*.bnn"))


def cards() -> dict[str, dict[str, str]]:
    """The table of networks, by name."""
    lines = [line for line in CARDS.read_text("utf-8").splitlines() if line.startswith("|")]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {row[0].strip("`"): dict(zip(head, row, strict=True)) for row in rows}


def test_every_network_has_a_card() -> None:
    found = cards()
    assert sorted(found) == NAMES
    for name in NAMES:
        meta = models.load(name).meta
        assert meta["name"] == name
        assert meta["weights"].startswith("trained on ")
        assert f"`{meta['command']}`" in found[name]["trained with"]


@pytest.mark.parametrize("name", NAMES)
def test_card(name: str, request: pytest.FixtureRequest) -> None:
    """Float and integer accuracy as the card has them, no more than a point apart."""
    card, held = cards()[name], "digits"
    if name != "snn_digits":
        shared: Path = request.getfixturevalue("shared_data")
        held = str(shared / "cifar10/test_batch_first1000.bin")
    found = accuracy(models.load(name), data.load(held), Stages())
    assert card["float"] == f"{found['torch_accuracy']:.1%}"
    assert card["integer"] == f"{found['accuracy']:.1%}"
    assert card["same decision"] == f"{found['agreement']:.1%}"
    assert abs(found["torch_accuracy"] - found["accuracy"]) <= 0.01
