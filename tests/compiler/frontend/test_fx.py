"""Every torch layer imported alone and in networks gives torch's own outputs; what has no counterpart is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.compiler.frontend import torch_exec
from bnnhw.compiler.frontend.fx import import_module
from bnnhw.compiler.ir import Graph, interpret
from bnnhw.errors import BnnhwError, UnsupportedError
from bnnhw.models import layers
from bnnhw.models.adabin import AdaBinResNet
from bnnhw.models.codebook import CodebookConv2d
from bnnhw.models.recipes.snn_digits import snn_digits

MEAN, STD = [0.4, 0.5, 0.6, 0.45], [0.2, 0.3, 0.25, 0.22]
SHAPE = (6, 6, 4)


def randomise(module: nn.Module, seed: int) -> nn.Module:
    """Random parameters and batch-norm statistics as training leaves them: some gammas and slopes negative or zero."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        for name, value in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
            if name == "running_var":
                value.data = torch.rand(value.shape, generator=generator) + 0.05
            elif value.is_floating_point() and name not in ("patterns", "memory"):
                value.data = torch.randn(value.shape, generator=generator) * 0.5
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.affine:
            layer.weight.data[0] = 0.0
    return module.eval()


def images(count: int = 5, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(3)).integers(0, 256, (count, *shape), dtype=np.uint8)


def torch_scores(module: nn.Module, pixels: np.ndarray) -> np.ndarray:
    channels = pixels.shape[3]
    x = torch.from_numpy(pixels).float() / 255
    x = ((x - torch.tensor(MEAN[:channels])) / torch.tensor(STD[:channels])).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        return module(x).reshape(len(pixels), -1).numpy()


def imported(module: nn.Module, shape: tuple[int, int, int] = SHAPE) -> Graph:
    return import_module(module, shape, mean=MEAN[: shape[2]], std=STD[: shape[2]], name="net")


class Head(nn.Module):
    """A layer, then scores: all pixels of the map in a row."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.layer = nn.Sequential(*parts)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.flatten(self.layer(x))


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(4, 5, 3, stride=2, padding=1),
    "conv same": lambda: nn.Conv2d(4, 5, 3, padding="same", bias=False),
    "conv valid, groups": lambda: nn.Conv2d(4, 6, 3, padding="valid", groups=2),
    "batch norm": lambda: nn.BatchNorm2d(4, eps=1e-3),
    "batch norm without affine": lambda: nn.BatchNorm2d(4, affine=False),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 7), nn.BatchNorm1d(7)),
    "prelu": lambda: nn.PReLU(4),
    "prelu, one slope": lambda: nn.PReLU(),
    "relu": lambda: nn.ReLU(),
    "leaky relu": lambda: nn.LeakyReLU(0.1),
    "hardtanh": lambda: nn.Hardtanh(-0.5, 0.75),
    "max pool": lambda: nn.MaxPool2d(3, 2, 1),
    "average pool": lambda: nn.AvgPool2d(2),
    "average pool, in-bounds count": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "average pool, padding counts": lambda: nn.AvgPool2d(3, 1, 1),
    "average pool, ceil mode": lambda: nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False),
    "global pool": lambda: nn.AdaptiveAvgPool2d(1),
    "identity": lambda: nn.Identity(),
    "dropout": lambda: nn.Dropout(0.5),
    "sign": lambda: layers.Sign(),
    "rsign": lambda: layers.RSign(4),
    "binary conv": lambda: nn.Sequential(layers.Sign(), layers.BinaryConv2d(4, 6, 3, stride=2)),
    "binary conv, 1x1 groups": lambda: nn.Sequential(layers.Sign(), layers.BinaryConv2d(4, 6, 1, groups=2)),
    "codebook conv": lambda: nn.Sequential(layers.RSign(4), CodebookConv2d(4, 6, 5, stride=2)),
    "codebook conv, tau 4": lambda: nn.Sequential(layers.RSign(4), CodebookConv2d(4, 6, 4)),
    "adabin activation": lambda: layers.AdaBinActivation(),
    "adabin conv": lambda: layers.AdaBinConv2d(4, 6, 3),
    "adabin conv, groups": lambda: layers.AdaBinConv2d(4, 6, 3, stride=2, groups=2),
    "rprelu": lambda: layers.RPReLU(4),
    "maxout": lambda: layers.Maxout(4),
    "option a": lambda: layers.OptionA(4, 9, 2),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("seed", [1, 2])
def test_layer(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    module = randomise(Head(LAYERS[name]()), seed)
    graph = imported(module)
    want = torch_scores(module, images())
    np.testing.assert_allclose(torch_exec.run(graph, images()), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(interpret.run(graph, images()), want, rtol=1e-4, atol=1e-5)


def test_codebook_is_kept() -> None:
    torch.manual_seed(1)
    module = randomise(Head(layers.RSign(4), CodebookConv2d(4, 6, 5)), 1)
    op = imported(module)["layer.1"].op
    assert op.words.shape == (32, 9)
    assert op.index.shape == (6, 4)
    assert np.array_equal(op.words[op.index].reshape(6, 4, 3, 3), op.sign)


def test_sign_of_zero_is_plus_one() -> None:
    graph = imported(Head(layers.Sign()), (2, 2, 1))
    black_is_zero = Graph(graph.nodes, graph.output, graph.meta)
    object.__setattr__(black_is_zero.input.op, "mean", np.zeros(1, np.float32))
    zeros = np.zeros((1, 2, 2, 1), np.uint8)
    assert torch_exec.run(black_is_zero, zeros).tolist() == [[1.0] * 4]
    assert layers.Sign()(torch.tensor([0.0, -0.0, -1e-30])).tolist() == [1.0, 1.0, -1.0]


class Calls(nn.Module):
    """Residual sums and flattening written as functions, a module called twice, a parameter added by hand."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.bias = nn.Parameter(torch.zeros(1, 4, 1, 1))
        self.act = nn.PReLU(4)
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.conv(x)) + x
        y = torch.add(y, self.act(self.conv(y + self.bias)))
        y += x
        return self.end(torch.relu(F.relu(self.bias + y)))


@pytest.mark.parametrize(
    "end",
    [
        lambda x: torch.flatten(x, 1),
        lambda x: x.flatten(1),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.reshape(x.shape[0], -1),
        lambda x: x.mean((2, 3)),
        lambda x: torch.mean(x, dim=[-1, -2]),
        lambda x: x.mean((2, 3), keepdim=True),
    ],
)
def test_functions(end: Callable[[Tensor], Tensor]) -> None:
    module = randomise(Calls(end), 5)
    graph = imported(module)
    np.testing.assert_allclose(torch_exec.run(graph, images()), torch_scores(module, images()), rtol=1e-4, atol=1e-5)
    assert {"conv", "conv@2", "act", "act@2"} <= {node.name for node in graph.nodes}


def test_whole_networks() -> None:
    torch.manual_seed(4)
    snn, ada = snn_digits(widths=(8, 16), blocks=(1, 2)).eval(), AdaBinResNet().eval()
    for module, shape in ((snn, (8, 8, 1)), (ada, (32, 32, 3))):
        graph = imported(module, shape)
        pixels = images(3, shape)
        np.testing.assert_allclose(torch_exec.run(graph, pixels), torch_scores(module, pixels), rtol=1e-3, atol=1e-4)
    assert graph["layer2.0.conv1.binary_a"].inputs == ("layer1.2.nonlinear2",)
    assert graph["layer2.0.add"].inputs == ("layer2.0.bn1", "layer2.0.shortcut")


SUPPORTED = (
    "AdaBinActivation, AdaBinConv2d, AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, BinaryConv2d, "
    "CodebookConv2d, Conv2d, Dropout, Flatten, Hardtanh, Identity, LeakyReLU, Linear, MaxPool2d, Maxout, OptionA, "
    "PReLU, RPReLU, RSign, ReLU, Sign"
)
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "type": (
        lambda: nn.Sequential(nn.Identity(), nn.GELU()),
        f"layer 'layer.0.1' is of type GELU, which is not supported; supported are {SUPPORTED}",
    ),
    "dilation": (lambda: nn.Conv2d(4, 4, 3, dilation=2), "layer 'layer.0': dilation must be 1, not (2, 2)"),
    "kernel": (
        lambda: nn.Conv2d(4, 4, (3, 1)),
        "layer 'layer.0': kernel_size must be the same along both axes, not (3, 1)",
    ),
    "padding mode": (
        lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        "layer 'layer.0': padding_mode must be zeros, not reflect",
    ),
    "statistics": (
        lambda: nn.BatchNorm2d(4, track_running_stats=False),
        "layer 'layer.0': batch norm must have running statistics, not those of the batch",
    ),
    "pool size": (lambda: nn.AdaptiveAvgPool2d(2), "layer 'layer.0': output_size must be 1, not 2"),
    "ceil": (
        lambda: nn.MaxPool2d(4, 4, ceil_mode=True),
        "layer 'layer.0': windows must divide the map evenly with ceil_mode, not (6, 6)",
    ),
    "linear on a map": (
        lambda: nn.Linear(6, 6),
        "layer 'layer.0' (Linear) must read a tensor (N, C), not (N, C, H, W)",
    ),
    "conv on a vector": (
        lambda: nn.Sequential(nn.Flatten(), nn.Conv2d(4, 4, 1)),
        "layer 'layer.0.1' (Conv2d) must read a tensor (N, C, H, W), not (N, C)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_layer(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(UnsupportedError) as error:
        imported(Head(make()))
    assert str(error.value) == message


def test_unsupported_call_names_its_place() -> None:
    class Inner(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x)

    with pytest.raises(UnsupportedError) as error:
        imported(Head(nn.Identity(), Inner()))
    assert str(error.value) == (
        "call of 'tanh' at 'layer.1.tanh' is not supported; supported calls are add, relu, flatten, "
        "view as (N, -1), and mean over (2, 3)"
    )


def test_control_flow_is_refused() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UnsupportedError, match="^Branch must be traceable by torch.fx: symbolically traced variables"):
        imported(Branch())


def test_subclass_is_not_taken_for_its_base() -> None:
    class Scaled(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * 2

    with pytest.raises(UnsupportedError):
        imported(Head(Scaled(4, 4, 1)))


def test_parameters_that_do_not_fit() -> None:
    broken = nn.Conv2d(4, 4, 1)
    broken.weight.data[0, 0] = float("nan")
    with pytest.raises(BnnhwError) as error:
        imported(Head(broken))
    assert str(error.value) == "layer 'layer.0' (Conv): weight must be finite, not NaN or infinity"
    with pytest.raises(BnnhwError) as error:
        imported(Head(nn.Conv2d(3, 4, 1)))
    assert str(error.value) == "layer 'layer.0' (Conv): weight must have 4 input channels, not 3"
    with pytest.raises(BnnhwError) as error:
        import_module(nn.Flatten(), SHAPE, mean=[0.0], std=[1.0], name="net")
    assert str(error.value) == "mean and std must have 4 values, one per channel, not 1 and 1"
