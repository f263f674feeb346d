"""``bnnhw eval``: accuracy of the integer network, with torch's beside it where torch is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from bnnhw.cli.options import COUNT, DATA_HELP, JSON, MODEL
from bnnhw.cli.output import print_facts, print_json
from bnnhw.cli.progress import Stages

if TYPE_CHECKING:
    from bnnhw.compiler.ir import Graph
    from bnnhw.models.data import Data


@click.command("eval")
@MODEL
@click.option("--data", required=True, metavar="D", help=DATA_HELP)
@click.option("--count", type=COUNT, help="At most so many images.")
@JSON
def eval_(model: str, data: str, count: int | None, as_json: bool) -> None:
    """Top-1 accuracy of the golden model, of the float network in torch, and how often the two agree."""
    from bnnhw import models
    from bnnhw.models import data as sets

    stages = Stages()
    graph = models.load(model)
    channels, height, width = graph.shapes()[graph.input.name]
    found = sets.load(data, (height, width, channels), count)
    result = accuracy(graph, found, stages)
    if as_json:
        print_json(result)
        return
    facts: list[tuple[str, Any]] = [("images", f"{result['count']} of {found.name}")]
    facts.append(("golden", f"{result['accuracy']:.2%}  ({result['correct']} correct)"))
    if result["torch_accuracy"] is None:
        facts.append(("torch", "not installed"))
    else:
        facts += [("torch", f"{result['torch_accuracy']:.2%}"), ("agreement", f"{result['agreement']:.2%}")]
    print_facts(facts)


def accuracy(graph: Graph, data: Data, stages: Stages) -> dict[str, Any]:
    """What ``bnnhw eval --json`` prints; torch_accuracy and agreement are None without torch."""
    from bnnhw.compiler.frontend import torch_exec
    from bnnhw.compiler.lower import lower
    from bnnhw.sim import golden

    with stages.stage("lower"):
        network = lower(graph)
    with stages.stage("golden model"):
        golden_class = golden.run(network, data.images).argmax(axis=1)
    correct = int(np.count_nonzero(golden_class == data.labels))
    result: dict[str, Any] = {"count": len(data), "correct": correct, "accuracy": correct / len(data)}
    result |= {"torch_accuracy": None, "agreement": None}
    if torch_exec.available():
        with stages.stage("torch"):
            torch_class = torch_exec.run(graph, data.images).argmax(axis=1)
        result["torch_accuracy"] = float(np.mean(torch_class == data.labels))
        result["agreement"] = float(np.mean(torch_class == golden_class))
    return result
