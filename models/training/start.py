"""What a training begins with: the state of another training of its recipe, or a saved network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from bnnhw.compiler.ir import Graph
from bnnhw.errors import BnnhwError
from bnnhw.models.catalogue import load as load_network
from bnnhw.models.training import checkpoint
from bnnhw.models.training.recipe import Recipe
from bnnhw.models.training.restore import restore


class Start:
    """The network of ``source``: a file S.state, or else a name of the catalogue or a .bnn file.

    Raises BnnhwError where there is no such file or network, and for the state of another recipe.
    """

    def __init__(self, source: str | Path, recipe: Recipe) -> None:
        path = Path(source)
        self.name, self._shape = path.name, recipe.shape
        self._graph: Graph | None = None
        self._state: Mapping[str, Any] = {}
        if path.suffix != checkpoint.SUFFIX:
            self._graph = load_network(source)
            return
        if not path.is_file():
            raise BnnhwError(f"start must be the state of a training, and there is no file {path}")
        self._state = checkpoint.load(path)
        other = self._state["run"]["recipe"]
        if other != recipe.name:
            raise BnnhwError(f"{path} must be the state of a training of {recipe.name}, not of {other}")

    def begin(self, network: nn.Module) -> str:
        """Gives ``network`` the weights; how those were trained. Raises BnnhwError where it has other layers."""
        if self._graph is not None:
            restore(network, self._graph, self._shape)
            return f"{self.name} {self._graph.digest()}"
        network.load_state_dict(self._state["network"])
        run = self._state["run"]
        before = f" after {run['start']}" if "start" in run else ""
        return f"step {self._state['step']} of {run['epochs']} epochs with seed {run['seed']}{before}"
