"""Images and input shapes for the tests of this folder, and the words that an image's windows must give."""

from __future__ import annotations

import numpy as np

SHAPES = {
    "one pixel": {"height": 1, "width": 1, "channels": 1, "kernel": 1},
    "dense": {"height": 2, "width": 3, "channels": 2, "kernel": 1, "rows": 2, "chunk_taps": 1},
    "3x3": {"height": 5, "width": 4, "channels": 3, "kernel": 3, "pad": 1, "rows": 2, "chunk_taps": 4},
    "stride": {"height": 5, "width": 7, "channels": 1, "kernel": 3, "stride": 2, "pad": 1, "rows": 3, "chunk_taps": 9},
    "no pad": {"height": 6, "width": 5, "channels": 2, "kernel": 3, "rows": 2, "chunk_taps": 5},
    "even": {"height": 6, "width": 6, "channels": 1, "kernel": 2, "stride": 2, "rows": 2, "chunk_taps": 3},
    "7x7": {"height": 6, "width": 6, "channels": 3, "kernel": 7, "stride": 2, "pad": 3, "rows": 3, "chunk_taps": 21},
    "wide pad": {"height": 2, "width": 2, "channels": 2, "kernel": 5, "pad": 2, "rows": 2, "chunk_taps": 25},
    "empty rows": {"height": 3, "width": 3, "channels": 1, "kernel": 3, "pad": 1, "rows": 5, "chunk_taps": 1},
    "pairs of planes": {"height": 5, "width": 4, "kernel": 3, "pad": 1, "rows": 2, "chunk_taps": 9, "parts": 2},
    "three planes": {"height": 4, "width": 4, "channels": 2, "kernel": 2, "rows": 2, "chunk_taps": 4, "parts": 3},
    "all planes": {"height": 2, "width": 2, "kernel": 1, "rows": 1, "parts": 8},
    "one plane": {"height": 3, "width": 3, "channels": 1, "kernel": 3, "pad": 1, "rows": 2, "planes": 1},
}  # fmt: skip


def input_fields(height, width, kernel, stride=1, pad=0, rows=1, chunk_taps=1, **other):
    """Fields of an InputConfig; padding behind the map is as wide as before it."""
    out_height, out_width = ((size + 2 * pad - kernel) // stride + 1 for size in (height, width))
    return (
        {"channels": 1}
        | other
        | {
            "height": height,
            "width": width,
            "kernel": kernel,
            "stride": stride,
            "pad": pad,
            "out_height": out_height,
            "out_width": out_width,
            "strip": -(-out_width // rows),
            "chunk_taps": chunk_taps,
            "planes": other.get("planes", 8),
        }
    )


def configs(engine_config, input_config, name, depth=0):
    """Engine with this input; the words are as deep as needed unless ``depth`` says more."""
    fields = dict(SHAPES[name])
    config = input_config(**input_fields(**fields))
    deep = max(depth, config.used)
    size = max(config.height, config.width)
    return engine_config(rows=fields.get("rows", 1), depth=deep, input=config, kernel=config.kernel, map_size=size)


def random_image(rng, config):
    c = config.input
    return rng.integers(0, 256, (c.height, c.width, c.channels))


def window_words(config, image):
    """Word of every row and address: (rows, words) integers; columns beyond the map give None."""
    c = config.input
    padded = np.zeros((c.height + 4 * c.kernel, c.width + 4 * c.kernel, c.channels), int)
    padded[c.pad : c.pad + c.height, c.pad : c.pad + c.width] = image
    found = np.full((config.rows, c.words), None, object)
    for y in range(c.out_height):
        for x in range(c.out_width):
            window = padded[y * c.stride :, x * c.stride :][: c.kernel, : c.kernel].reshape(c.taps, c.channels)
            row, lx = divmod(x, c.strip)
            for chunk in range(c.chunks):
                taps = window[chunk * c.chunk_taps :][: c.chunk_taps]
                for group in range(c.groups):
                    planes = range(group * c.parts, (group + 1) * c.parts)
                    bits = [v >> p & 1 for p in planes for v in taps.reshape(-1).tolist()]
                    word = sum(b << i for i, b in enumerate(bits)) << config.depth - len(bits)
                    found[row, ((y * c.strip + lx) * c.chunks + chunk) * c.groups + group] = word
    return found
