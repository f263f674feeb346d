"""The post-processing formula of spec.network on the numbers of one channel and pixel, as the parameters hold them."""

from __future__ import annotations

from bnnhw.spec.numbers import round_shift


def fits(value, width):
    return -(1 << width - 1) <= value < 1 << width - 1


def output(config, record, fields, x, a, entry, residual, gate=0, before=0):
    """y; None where a sum does not fit its width. ``entry`` of the border class: added to the count, or the offset,
    which includes the first shift's half; ``before``: the residual of the first turn, 0 where there is one turn."""
    p = config.post
    x, offset = (x + entry, record["offset"]) if p.border_width else (x, entry)
    if not fits(x, config.x_width):
        return None
    total = record["scale"] * x + record.get("sum_scale", 0) * a + offset
    v = total >> p.shifts[fields["shift"]]
    early, late = (0, residual) if fields["late"] else (residual, 0)
    z = v + (early if fields["residual"] else 0) + before + record.get("in_offset", 0)
    if not (fits(total, p.offset_width + 2) and fits(v, p.pre_width) and fits(z, p.pre_width)):
        return None
    y = z
    if p.slope_width:
        y = int(round_shift((record["pos"] if z >= 0 else record["neg"]) * z, p.slope_shifts[fields["slope_shift"]]))
        y += record.get("out_offset", 0) + (late if fields["residual"] else 0)
    if fields.get("gate"):
        if not fits(y, p.gate_width):
            return None
        y = int(round_shift(gate * y, p.gate_shift)) + record.get("gate_offset", 0)
    return min(max(y, fields["low"]), fields["high"])


def published(config, record, fields, y, plane):
    """The bit: y >= threshold, or bit ``plane`` of the code."""
    if not fields["codes"]:
        return int(y >= record["threshold"])
    code = int(round_shift(y, config.post.code_shifts[fields["code_shift"]]))
    return min(max(code, 0), (2 << fields["last_plane"]) - 1) >> plane & 1
