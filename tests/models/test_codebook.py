"""SNN's codebooks: nearest words, bits with a memory, refinement that finds better words, evaluation without a past."""

from __future__ import annotations

from copy import deepcopy

import torch

from bnnhw.models.codebook import CodebookConv2d, Refinement, numbers, spelled
from bnnhw.models.estimators import annealed_sign


def codebook(seed: int = 1) -> CodebookConv2d:
    torch.manual_seed(seed)
    return CodebookConv2d(3, 4, 5)


def test_nearest_codeword() -> None:
    layer = codebook()
    words, kernels = layer.words(), layer.weight.detach().reshape(12, 9)
    distance = ((kernels[:, None] - words[None]) ** 2).sum(dim=2)
    assert torch.equal(layer.index().reshape(-1), distance.argmin(dim=1))
    assert sorted(set(layer.words().unique().tolist())) == [-1.0, 1.0]
    assert len(torch.unique(words, dim=0)) == 32
    assert not torch.equal(words, codebook(2).words()), "each layer draws its own subset"


def test_distance_to_another_sign() -> None:
    """No smaller change of a kernel turns the bit, and one a little larger brings it nearer to a codeword that has the
    other one, where it is made in the taps in which the two codewords differ."""
    layer = codebook()
    layer.sharpen = (1.0, 1.0)
    kernels, words = layer.standard().detach().reshape(12, 9), layer.words()
    reach = layer.distance().reshape(12, 9)
    assert reach.isfinite().all()
    for kernel, chosen, distances in zip(kernels, words[layer.index().reshape(-1)], reach, strict=True):
        for tap, distance in enumerate(distances):
            inside = torch.randn(200, 9)
            inside *= 0.999 * distance / inside.abs().sum(dim=1, keepdim=True)
            assert (words[((kernel + inside) @ words.T).argmax(dim=1), tap] == chosen[tap]).all()
            others = words[words[:, tap] != chosen[tap]]
            best = others[(others @ kernel).argmax()]
            turned = (best != chosen) * best * (1.001 * distance + 1e-5) / (best != chosen).sum()
            assert best @ (kernel + turned) > chosen @ (kernel + turned)
    layer.take(words[:1].expand(32, 9))
    assert layer.distance().isinf().all()


def test_distance_in_a_whole_codebook_is_the_weights_magnitude() -> None:
    layer = CodebookConv2d(3, 4, 9, sharpen=(4.0, 4.0))
    layer.take(spelled(torch.arange(512)))
    layer.pace(0, 1)
    x = torch.randn(2, 3, 4, 4)
    layer(x).square().sum().backward()
    found, layer.weight.grad = layer.weight.grad, None
    standard = layer.standard()
    assert torch.allclose(layer.distance(), standard.detach().abs(), atol=1e-5)
    signs = annealed_sign(standard, layer.sharpness)
    layer.scaled(x, lambda: signs).square().sum().backward()
    assert found is not None
    assert layer.weight.grad is not None
    assert torch.allclose(found, layer.weight.grad, rtol=1e-3, atol=1e-3)


def test_half_precision_takes_the_same_codewords() -> None:
    torch.manual_seed(1)
    layer = CodebookConv2d(64, 64, 5)
    x = torch.randn(1, 64, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        index, product = layer.index(), layer(x)
    assert torch.equal(index, layer.index())
    assert product.dtype == torch.bfloat16, "products themselves are half as precise"


def test_small_patterns_keep_their_bit() -> None:
    layer = codebook()
    before = layer.words()
    layer.patterns.data[0] = -before[0] * 0.0009
    assert torch.equal(layer.words(), before)
    layer.patterns.data[0] = -before[0] * 0.0011
    assert torch.equal(layer.words()[0], -before[0])


def test_patterns_move_every_25th_step_only() -> None:
    layer = codebook()
    for step in range(60):
        layer.weight.grad = layer.patterns.grad = None
        layer.pace(step, 60)
        layer(torch.ones(1, 3, 4, 4)).sum().backward()
        assert (layer.patterns.grad is not None) == (step > 0 and step % 25 == 0)
        assert layer.weight.grad is not None
        layer.refine()


def test_equal_codewords_are_replaced() -> None:
    layer = codebook()
    layer.refine()
    layer.pace(25, 100)
    first, others = layer.words()[:3].clone(), layer.words()[6:].clone()
    layer.patterns.data[3:6] = layer.patterns.data[0]
    layer.patterns.data[1] *= 7
    layer.refine()
    words = layer.words()
    assert len(torch.unique(words, dim=0)) == 32
    assert torch.equal(words[:3], first)
    assert torch.equal(words[6:], others)
    assert layer.patterns.abs().max() <= 3


def test_numbers_spell_kernels() -> None:
    """The first tap is the highest bit."""
    assert spelled(torch.tensor(0b100000001)).tolist() == [1, -1, -1, -1, -1, -1, -1, -1, 1]
    assert numbers(spelled(torch.arange(512))) == list(range(512))


def test_bits_remember_where_patterns_waver() -> None:
    """A pattern that crosses zero by less than the threshold changes nothing, and its bit is that of the last time it
    was large, also when it comes back and when the state is saved in between."""
    layer = codebook()
    layer.patterns.data[0, 0] = 0.5
    layer.refine()
    for value, bit in ((-0.0009, 1), (0.0002, 1), (-0.002, -1), (0.0009, -1), (-0.0001, -1), (0.001, 1), (-0.0005, 1)):
        layer.patterns.data[0, 0] = value
        layer.refine()
        again = codebook(2)
        again.load_state_dict(layer.state_dict())
        assert [net.words()[0, 0].item() for net in (layer, again)] == [bit, bit], value


def test_constants_are_parameters() -> None:
    layer = CodebookConv2d(3, 4, 4, clip=0.5, refinement=Refinement(every=3, hysteresis=0.1, limit=2.0))
    before = layer.words()
    layer.patterns.data *= -0.09
    assert torch.equal(layer.words(), before)
    layer.patterns.data *= 100
    seen = []
    for step in range(8):
        layer.pace(step, 8)
        seen.append(layer.refining)
        layer.refine()
    assert seen == [False, False, False, True, False, False, True, False]
    assert layer.patterns.abs().max() == 2
    layer.weight.data.fill_(0.4)
    layer.weight.data[0, 0, 0, 0] = 0.6
    layer(torch.ones(1, 3, 4, 4)).sum().backward()
    assert layer.weight.grad is not None
    assert (layer.weight.grad[0, 0] != 0).sum() == 8


def test_size_of_patterns() -> None:
    """They begin with it, and so do those that take the place of equal ones."""
    layer = CodebookConv2d(3, 4, 4, refinement=Refinement(size=0.25))
    assert layer.patterns.abs().unique().tolist() == [0.25]
    assert layer.memory.abs().unique().tolist() == [1.0]
    layer.patterns.data[3] = layer.patterns.data[1] * 2
    layer.pace(25, 100)
    layer.refine()
    assert len(set(numbers(layer.words()))) == 16
    assert layer.patterns.abs().unique().tolist() == [0.25]


def refined(seed: int, steps: int = 200) -> tuple[CodebookConv2d, list[float]]:
    """A layer that learns the outputs of binary kernels of which its codebook has none."""
    layer = codebook(seed)
    have = set(numbers(layer.words()))
    wanted = spelled(torch.tensor([n for n in range(512) if n not in have][:12])).reshape(4, 3, 3, 3)
    descent = torch.optim.SGD([{"params": [layer.weight]}, {"params": [layer.patterns], "lr": 0.3}], lr=0.02)
    losses = []
    for step in range(steps):
        torch.manual_seed(seed * 1000 + step)
        x = torch.randn(8, 3, 6, 6).sign()
        layer.pace(step, steps)
        target = torch.nn.functional.conv2d(x, wanted, padding=1)
        loss = ((layer(x) / layer.scale()[:, None, None] - target) ** 2).mean()
        descent.zero_grad()
        loss.backward()
        descent.step()
        layer.refine()
        assert len(set(numbers(layer.words()))) == 32 or not layer.refining
        losses.append(loss.item())
    return layer, losses


def test_refinement_finds_other_words() -> None:
    layer, losses = refined(1)
    assert set(numbers(layer.words())) != set(numbers(codebook(1).words()))
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])
    assert sorted(set(layer.memory.unique().tolist())) == [-1.0, 1.0]


def test_refinement_follows_from_the_seed() -> None:
    (first, _), (again, _), (other, _) = refined(1, 60), refined(1, 60), refined(2, 60)
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert numbers(first.words()) != numbers(other.words())


def test_evaluation_has_no_past() -> None:
    """Nothing that is computed or stored depends on how often the layer was called, even where codewords are equal and
    patterns too small to tell, which training would mend."""
    layer, _ = refined(1, 30)
    layer.pace(25, 100)
    layer.patterns.data[3] = layer.patterns.data[0]
    layer.patterns.data[1, :4] = torch.tensor([1e-4, -1e-4, 0.0, -1e-5])
    fresh = deepcopy(layer).eval()
    used = layer.eval()
    x = torch.randn(2, 3, 6, 6).sign()
    with torch.no_grad():
        outputs = [used(x) for _ in range(60)]
        used.train()
        used(x)
        used.eval()
        assert all(torch.equal(fresh(x), output) for output in (*outputs, used(x)))
    for key, value in fresh.state_dict().items():
        assert torch.equal(value, used.state_dict()[key]), key
