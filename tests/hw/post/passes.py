"""Random jobs for the post-processor, and the vectors that the layout's definitions make of their passes."""

from __future__ import annotations

from bnnhw.sim.machine.program import pass_fields
from bnnhw.spec.jobs import job_layout
from bnnhw.spec.program import CONV_BITS, CONV_INPUT, POOL, Images, Widths


def random_job(rng, config, *, final, kinds=(CONV_BITS, CONV_INPUT, POOL)):
    """Fields of a job whose outputs lie in the engine's banks."""
    w, c = Widths.of(config), config
    value = lambda: int(rng.integers(1 << w.value_addr))  # noqa: E731
    bit = lambda: int(rng.integers(1 << w.bit_addr))  # noqa: E731
    index = lambda shifts: int(rng.integers(max(len(shifts), 1)))  # noqa: E731
    pool = (kind := int(rng.choice(kinds))) == POOL
    strip, strips = int(rng.integers(1, 5)), int(rng.integers(1, c.rows + 1))
    width = int(rng.integers((strips - 1) * strip + 1, strips * strip + 1))
    bit_strip = int(rng.integers(-(-width // c.rows), width + 2))
    quotient, rest = divmod(strip, bit_strip) if strips > 1 else (0, 0)
    codes = int(rng.integers(2)) if c.post.code_shifts else 0
    planes = int(rng.integers(1, c.post.code_planes + 1)) if codes else 1
    spread = int(rng.integers(2)) if c.slots > 1 else 0
    height = int(rng.integers(1, 4))
    y_low, x_low = (int(v) for v in rng.integers(0, 2, 2))
    y_high = int(rng.integers(max(y_low, height - 2), height + 1))
    x_high = int(rng.integers(max(x_low, width - 2), width + 1))
    y_inner, x_inner = y_low + int(rng.integers(2)), x_low + int(rng.integers(2))
    d_x = bit()
    low, high = sorted(int(v) for v in rng.integers(-(1 << c.post.value_width - 1), 1 << c.post.value_width - 1, 2))
    fields = {
        "kind": kind,
        "final": int(final),
        "last_pass": (last_pass := int(rng.integers(c.passes))),
        "last_filled": int(rng.integers(last_pass + 1)),
        "last_y": height - 1,
        "last_lx": strip - 1,
        "last_r": strips - 1,
        "strip": strip,
        "out_width": width,
        "y_low": y_low,
        "y_high": y_high,
        "y_inner": y_inner,
        "x_low": x_low,
        "x_high": x_high,
        "x_inner": x_inner,
        "x_count": x_inner + max(width - x_high, 1),
        "drain": planes * (1 if pool else strips * c.subs) - 1,
        "shift": index(c.post.shifts),
        "slope_shift": index(c.post.slope_shifts),
        "code_shift": index(c.post.code_shifts),
        "low": low,
        "high": high,
        "residual": int(rng.integers(2)) if c.post.residual and not pool else 0,
        "groups": int(rng.integers(c.subs + 1)),
        "value": int(rng.integers(2)),
        "val_base": value(),
        "val_dx": value(),
        "val_dr": value(),
        "val_dy": value(),
        "score": int(rng.integers(2)),
        "bits": int(rng.integers(2)),
        "codes": codes,
        "last_plane": planes - 1,
        "bit_base": bit(),
        "bit_dx": d_x,
        "bit_dy": bit(),
        "bit_dplane": bit(),
        "bit_dpass": int(rng.integers(c.subs + 1)),
        "bit_strip": bit_strip,
        "bit_dstrip": bit_strip * d_x % (1 << w.bit_addr),
        "bit_q": quotient,
        "bit_rem": rest,
        "bit_drem": rest * d_x % (1 << w.bit_addr),
        "halo_low": int(rng.integers(c.kernel)),
        "halo_high": int(rng.integers(c.kernel)),
        "spread": spread,
        "slot": int(rng.integers(c.slots)) if spread else 0,
        "slot_dpass": int(rng.integers(c.slots)) if spread else 0,
    }
    if c.post.residual:
        fields |= {name: value() for name in ("res_base", "res_dx", "res_dr", "res_dy")}
        fields["last_residual"] = int(rng.integers(last_pass + 1))
    if c.post.second and not pool and not codes and rng.random() < 0.6:
        fields |= {name: value() for name in ("sec_base", "sec_dx", "sec_dr", "sec_dy")}
        fields |= {"residual": 1, "second": 1, "last_second": int(rng.integers(last_pass + 1)), "last_plane": 1}
        fields |= {"drain": 2 * strips * c.subs - 1, "bit_dplane": 0}
    if c.post.tiled:
        fields |= {
            name: int(rng.integers(last_pass + 1))
            for name in ("res_tile", "sec_tile")
            if name[:3] != "sec" or c.post.second
        }
    if c.post.gate_width:
        fields |= {"gate": int(rng.integers(2)), "gate_base": int(rng.integers(1 << w.gate_addr))}
    return fields


def random_jobs(rng, config, count):
    """A program of ``count`` jobs: its images, and the fields of every pass, with ``first``: it is its job's first."""
    jobs = [random_job(rng, config, final=n == count - 1) for n in range(count)]
    words = tuple(job_layout(config).pack(job) for job in jobs)
    unpacked = [job_layout(config).unpack(word) for word in words]
    passes = [pass_fields(config, job, n) | {"first": n == 0} for job in unpacked for n in range(job["last_pass"] + 1)]
    return Images(words, (), (), (), (), ()), passes


def classes_of(p):
    """Largest border class of a pass."""
    return max(class_of(p, y, x) for y in range(p["last_y"] + 1) for x in range(p["out_width"]))


def class_of(p, y, x):
    def axis(name, position):
        if position < p[f"{name}_low"]:
            return position
        high = p[f"{name}_high"]
        return position - high + p[f"{name}_inner"] if position >= high else p[f"{name}_low"]

    return axis("y", y) * p["x_count"] + axis("x", x)


def tiles_of(p):
    """What one capture holds, in order: lists of (y, lx, r)."""
    for y in range(p["last_y"] + 1):
        for lx in range(p["last_lx"] + 1):
            line = [(y, lx, r) for r in range(p["last_r"] + 1)]
            yield from ([position] for position in line) if p["kind"] == POOL else [line]


def vectors_of(config, p):
    """For every tile the vectors in order: dicts; what a vector outside the map says about places is left out."""
    w, c = Widths.of(config), config
    bit_mask, value_mask = (1 << w.bit_addr) - 1, (1 << w.value_addr) - 1
    for tile in tiles_of(p):
        vectors = []
        for y, lx, r in tile:
            x = r * p["strip"] + lx
            bank, column = divmod(x, p["bit_strip"])
            for sub in range(1 if p["kind"] == POOL else c.subs):
                wraps, slot = divmod(p["slot"] + sub, c.slots)
                for plane in range(p["last_plane"] + 1):
                    vector = {"y": y, "r": r, "x": x, "inside": int(x < p["out_width"]), "sub": sub, "plane": plane}
                    if vector["inside"]:
                        at = p["bit_base"] + y * p["bit_dy"] + column * p["bit_dx"] + plane * p["bit_dplane"]
                        vector["value_address"] = (
                            p["val_base"] + y * p["val_dy"] + lx * p["val_dx"] + r * p["val_dr"] + sub & value_mask
                        )
                        if c.post.residual:
                            name = "sec" if plane and not p["codes"] else "res"
                            walk = (p[f"{name}_{step}"] for step in ("base", "dy", "dx", "dr"))
                            base, dy, dx, dr = walk
                            vector["residual_address"] = base + y * dy + lx * dx + r * dr + sub & value_mask
                        turns = not p["codes"] and p["last_plane"]
                        if c.post.second:
                            vector |= {"blank": int(turns and not plane), "again": int(turns and plane)}
                        if c.post.gate_width:
                            vector["gate_address"] = p["gate_base"] + sub & (1 << w.gate_addr) - 1
                        vector["class_"] = class_of(p, y, x)
                        vector["write"] = {
                            "slots": 1 << slot if p["spread"] else (1 << c.slots) - 1,
                            "bank": bank,
                            "column": column,
                            "address": at + (wraps if p["spread"] else sub) & bit_mask,
                            "strip": p["bit_strip"],
                            "d_strip": p["bit_dstrip"],
                            "halo_low": p["halo_low"],
                            "halo_high": p["halo_high"],
                        }
                    vectors.append(vector)
        yield vectors
