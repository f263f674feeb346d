"""Slots of the score store: none is given away while its scores are awaited, those of an abandoned image included."""

from __future__ import annotations

import pytest

from bnnhw.hw.link.scores import ScoreStore
from bnnhw.spec.link import SLOTS
from tests.hw.link.standin import IDENTITY
from tests.hw.play import play


@pytest.mark.parametrize("abandons", [0, 1])
def test_full(abandons: int) -> None:
    """Images that are complete, or abandoned by the one after, until there is no slot for another."""
    last = {"image": 0, "begin": 0, "completed": 0, "again": 0, "abandons": 0}
    inputs = []
    for number in range(1, SLOTS + 1):
        inputs.append(last | {"image": number, "begin": 1, "abandons": abandons and number > 1})
        inputs.append(last | {"completed": not abandons, "abandons": abandons})
    inputs.append(last | {"abandons": abandons})
    seen = play(ScoreStore(identity=IDENTITY), inputs, ["full"])
    *before, end = [cycle["full"] for cycle in seen]
    assert (any(before[:-1]), end) == (False, True)


def test_scores_of_an_abandoned_image_are_nobodys() -> None:
    """Image 1 is abandoned by image 2; what comes first is its, and image 2 waits for the second."""
    quiet = {"begin": 0, "completed": 0, "again": 0, "abandons": 0, "i.valid": 0, "image": 2}
    score = quiet | {"i.valid": 1}
    scores = [score | {"i.payload": {"score": n, "last": n == 2}} for n in range(3)]
    inputs = [
        quiet | {"image": 1, "begin": 1},
        quiet | {"image": 2, "begin": 1, "abandons": 1},
        quiet | {"completed": 1},
        *scores,
        quiet,
        quiet,
        quiet | {"image": 1},
        quiet,
        *scores,
        quiet,
        quiet,
    ]
    seen = play(ScoreStore(identity=IDENTITY), inputs, ["known", "done"])
    assert (seen[7]["known"], seen[7]["done"]) == (1, 0)
    assert seen[10]["known"] == 0
    assert (seen[-1]["known"], seen[-1]["done"]) == (1, 1)
