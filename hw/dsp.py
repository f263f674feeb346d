"""The chip's multiplier block, as an instance: synthesis does not move registers into it."""

from __future__ import annotations

from amaranth import C, ClockSignal, Instance, Value

from bnnhw.spec.multiplier import BLOCK


def block(a: Value, b: Value, product: Value, *, enable_b: Value | None = None) -> Instance:
    """A MULT18X18D with registered operands (``b`` where ``enable_b``, if given) and product. Latency 2.

    a, b: signed, at most 18 bits. product: 36 bits.
    """
    pins: dict[str, object] = {"i_SIGNEDA": C(1, 1), "i_SIGNEDB": C(1, 1), "i_SOURCEA": C(0, 1), "i_SOURCEB": C(0, 1)}
    for n in range(BLOCK):
        pins[f"i_A{n}"] = a[min(n, len(a) - 1)]
        pins[f"i_B{n}"] = b[min(n, len(b) - 1)]
    pins |= {f"o_P{n}": product[n] for n in range(2 * BLOCK)}
    # Clocks, enables and resets that no register selects are left open.
    pins |= {"i_CLK0": ClockSignal(), "i_CE0": C(1, 1), "i_RST0": C(0, 1)}
    registers = {
        f"p_REG_{place}_{key}": value
        for place in ("INPUTA", "INPUTB", "OUTPUT")
        for key, value in (("CLK", "CLK0"), ("CE", "CE0"), ("RST", "RST0"))
    }
    if enable_b is not None:
        registers["p_REG_INPUTB_CE"], pins["i_CE1"] = "CE1", enable_b
    return Instance("MULT18X18D", **registers, p_REG_PIPELINE_CLK="NONE", p_GSR="DISABLED", **pins)
