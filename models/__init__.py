"""Network definitions, training recipes, data sets and shipped networks.

`train` and the modules with network definitions need torch, nothing else here does.
"""

from bnnhw.models.catalogue import Info, info, load, names, recipe_names
from bnnhw.models.pruning import feature_maps, prune
from bnnhw.models.reshape import fit, reshape
from bnnhw.models.training import train

__all__ = ["Info", "feature_maps", "fit", "info", "load", "names", "prune", "recipe_names", "reshape", "train"]
