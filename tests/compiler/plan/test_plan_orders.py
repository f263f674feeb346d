"""Channel orders: shortcuts read aligned groups, whatever shortcuts and scores ask for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.compiler.plan.build import analyse
from bnnhw.compiler.plan.orders import narrowed, stored_channels, widen
from bnnhw.sim.fuzz.network import random_network


def test_widen_puts_the_shortcut_first():
    assert widen(np.array([0, 1, 2]), 2, 7).tolist() == [2, 3, 4, 0, 1, 5, 6]


def test_widen_fills_empty_positions():
    assert widen(np.array([-1, 0, -1, 1]), 1, 4).tolist() == [0, 1, 3, 2]
    assert widen(np.array([-1, 0, -1, -1, 1]), 1, 4).tolist() == [0, 1, 3, -1, 2]


def test_narrowed_leaves_positions_empty():
    assert narrowed(np.arange(8), 2, 3).tolist() == [-1, -1, 0, 1, 2]


@given(st.permutations(list(range(5))), st.integers(0, 4), st.integers(0, 4))
def test_narrowed_undoes_widen(order, pad, more):
    order = np.array(order)
    wide = widen(order, pad, 5 + pad + more)
    assert sorted(wide.tolist()) == list(range(5 + pad + more))
    assert narrowed(wide, pad, 5).tolist() == order.tolist()


def test_stored_channels_pads():
    assert stored_channels(np.array([1, 0]), 4).tolist() == [1, 0, -1, -1]


@pytest.mark.parametrize("index", range(60))
def test_every_residual_is_aligned(index):
    network = random_network(1, index)
    orders = analyse(network).orders
    assert orders[network.output].tolist() == list(range(network.tensors[network.output].channels))
    for layer in network.layers:
        out = network.out_tensor(layer)
        order = orders[out.name]
        assert sorted(order[order >= 0].tolist()) == list(range(out.channels))
        residual = layer.post.residual
        if residual is not None:
            inner = orders[residual.tensor]
            count = network.tensors[residual.tensor].channels
            for position, channel in enumerate(order.tolist()):
                read = inner[position] if position < len(inner) else -1
                wanted = channel - residual.pad if 0 <= channel - residual.pad < count and channel >= 0 else -1
                assert read == wanted
