"""The post-processor and the writers: from accumulators to values, bits, codes and scores of one line of positions."""

from __future__ import annotations

import numpy as np

from bnnhw.sim.machine.program import PassWords
from bnnhw.sim.machine.sources import check_width
from bnnhw.sim.machine.state import State
from bnnhw.spec.engine import EngineConfig
from bnnhw.spec.numbers import IntArray, round_shift
from bnnhw.spec.program import POOL


class Post:
    """Post-processing of one pass. Arrays are (N, r, lx, subs, lanes); positions at x >= out_width store nothing."""

    def __init__(self, config: EngineConfig, words: PassWords) -> None:
        self.config, self.words = config, words
        f = words.fields
        self.subs = 1 if f["kind"] == POOL else config.subs
        self.lanes = {name: x[: self.subs] for name, x in words.lanes.items()}
        self.r, self.lx = np.meshgrid(np.arange(f["last_r"] + 1), np.arange(f["last_lx"] + 1), indexing="ij")
        self.x = self.r * f["strip"] + self.lx
        self.stored = self.x < f["out_width"]
        self.planes = f["last_plane"] + 1 if f["codes"] else 1
        turns = f["last_plane"] + 1
        assert turns == self.planes or (turns == 2 and not f["codes"])
        vectors = turns * (1 if f["kind"] == POOL else (f["last_r"] + 1) * self.subs)
        assert f["drain"] == vectors - 1
        if f["bits"]:
            self._find_writes()

    def line(self, state: State, y: int, counts: IntArray, sums: IntArray | None) -> None:
        """Processes and stores line ``y``; counts (N, r, lx, cols or lanes), sums (N, r, lx) or None."""
        f, p = self.words.fields, self.config.post
        x = counts[..., : self.subs * self.config.lanes].reshape(*counts.shape[:3], self.subs, self.config.lanes)
        entries = self.words.entries[self._classes(y), : self.subs]
        if p.border_width:
            x, entries = x + entries, self.lanes["offset"]
            self._check(x, self.config.x_width, "count with border")
        v = self.lanes["scale"] * x + entries
        if sums is not None and p.sum_scale_width:
            v = v + self.lanes["sum_scale"] * sums[..., None, None]
        self._check(v, p.offset_width + 2, "affine sum")
        v = v >> p.shifts[f["shift"]]
        self._check(v, p.pre_width, "v")
        added = self._residual(state, y, "residual", "res") + self._residual(state, y, "second", "sec")
        if not f["late"]:
            v = v + added
            self._check(v, p.pre_width, "v with residual")
        out = v
        if p.slope_width:
            z = v + self.lanes["in_offset"]
            self._check(z, p.pre_width, "z")
            out = round_shift(
                np.where(z >= 0, self.lanes["pos"], self.lanes["neg"]) * z, p.slope_shifts[f["slope_shift"]]
            )
            out = out + self.lanes["out_offset"]
        if f["late"]:
            out = out + added
        if f["gate"]:
            check_width(out[:, self.stored], p.gate_width, "what a gate multiplies")
            factors = state.gates[:, f["gate_base"] + np.arange(self.subs)][:, None, None]
            out = round_shift(factors * out, p.gate_shift) + self.lanes["gate_offset"]
        self._store(state, y, np.clip(out, f["low"], f["high"]))

    def _residual(self, state: State, y: int, name: str, at: str) -> IntArray | int:
        """What a residual adds to line ``y``."""
        f = self.words.fields
        if not f[name]:
            return 0
        address = self._address(at, y, state.widths.value_addr)
        if f[f"{at}_ring"]:
            return state.loads[:, address % state.loads.shape[1]]
        return state.values[:, np.where(address < self.config.value_words, address, 0)]

    def _check(self, v: IntArray, width: int, what: str) -> None:
        check_width(v[:, self.stored], width, what)

    def _classes(self, y: int) -> IntArray:
        """Border class of every position (r, lx)."""
        f = self.words.fields

        def of(name: str, p: IntArray) -> IntArray:
            low, high, inner = f[f"{name}_low"], f[f"{name}_high"], f[f"{name}_inner"]
            return np.where(p < low, p, np.where(p >= high, p - high + inner, low))

        classes = of("y", np.array(y)) * f["x_count"] + of("x", self.x)
        return np.where(self.stored, classes, 0)

    def _address(self, name: str, y: int, width: int) -> IntArray:
        """Value memory addresses (r, lx, subs) of a residual ("res", "sec") or the output ("val")."""
        f = self.words.fields
        address = f[f"{name}_base"] + y * f[f"{name}_dy"] + self.r * f[f"{name}_dr"] + self.lx * f[f"{name}_dx"]
        whole = (address[..., None] + np.arange(self.subs)) % (1 << width)
        inside = f.get(f"{name}_ring", 0) or (whole < self.config.value_words)[self.stored].all()
        assert inside, "an address beyond the value memory"
        return whole

    def _store(self, state: State, y: int, out: IntArray) -> None:
        f, c = self.words.fields, self.config
        if f["value"] and f["val_gate"]:
            state.gates[:, f["val_base"] + np.arange(self.subs)] = out[:, 0, 0]
        elif f["value"]:
            address = self._address("val", y, state.widths.value_addr)
            if f["val_ring"]:
                state.stores[:, address[self.stored] % state.stores.shape[1]] = out[:, self.stored]
            else:
                state.values[:, address[self.stored]] = out[:, self.stored]
        if f["score"]:
            state.scores.append(out[:, self.stored].reshape(len(out), -1))
        if not f["bits"]:
            return
        if f["codes"]:
            code = round_shift(out, c.post.code_shifts[f["code_shift"]])
            code = np.clip(code, 0, (1 << self.planes) - 1)
            bits = (code[..., None, :] >> np.arange(self.planes)[:, None]) & 1
        else:
            bits = (out >= self.lanes["threshold"]).astype(np.int64)[..., None, :]
        r, lx, sub, plane, bank, slot, at = self.writes
        address = (at + y * f["bit_dy"]) % (1 << state.widths.bit_addr)
        assert (address < c.bit_words).all(), "a write beyond the activation memory"
        state.activation[:, bank, slot, address] = bits[:, r, lx, sub, plane].astype(np.uint8)

    def _find_writes(self) -> None:
        """Lists every write of a line: its r, lx, sub, plane, and bank, slot and address (without y) to go to."""
        f, c = self.words.fields, self.config
        found: list[tuple[int, ...]] = []
        for r, lx in zip(self.r[self.stored].tolist(), self.lx[self.stored].tolist(), strict=True):
            wraps, column = divmod(r * f["bit_rem"] + lx, f["bit_strip"])
            at = f["bit_base"] + r * f["bit_drem"] + lx * f["bit_dx"] - wraps * f["bit_dstrip"]
            for d in range(-c.halo_reach, c.halo_reach + 1):
                bank, there = r * f["bit_q"] + wraps + d, column - d * f["bit_strip"]
                if 0 <= bank < c.rows and -f["halo_low"] <= there < f["bit_strip"] + f["halo_high"]:
                    found += self._copies(r, lx, bank, at - d * f["bit_dstrip"])
        self.writes: IntArray = np.array(found, np.int64).reshape(-1, 7).T

    def _copies(self, r: int, lx: int, bank: int, at: int) -> list[tuple[int, ...]]:
        """Writes of one pixel to one bank: for each sub and plane, to one slot (spread) or to all."""
        f, c = self.words.fields, self.config
        copies: list[tuple[int, ...]] = []
        for sub in range(self.subs):
            carry, one = divmod(f["slot"] + sub, c.slots)
            slots, step = ([one], carry) if f["spread"] else (list(range(c.slots)), sub)
            for plane in range(self.planes):
                to = at + step + plane * f["bit_dplane"]
                copies += [(r, lx, sub, plane, bank, slot, to) for slot in slots]
        return copies


__all__ = ["Post"]
