"""adabin_vgg: VGG-small with AdaBin's convolutions, for CIFAR-10. The paper's own code for it is not public."""

from __future__ import annotations

from functools import partial

from bnnhw.models.layers import AdaBinConv2d, Maxout
from bnnhw.models.recipes.adabin_r20 import PAPER
from bnnhw.models.recipes.cifar import cifar
from bnnhw.models.vgg import VggSmall

adabin_vgg = partial(VggSmall, AdaBinConv2d, Maxout)
RECIPE = cifar("adabin_vgg", PAPER, adabin_vgg, optimiser="sgd", rate=0.1, decay=1e-4, small=())
