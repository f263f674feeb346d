"""``bnnhw run``: images to a board over its serial port, scores back; ``--port sim`` is a simulated board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from bnnhw.cli.options import BOARD, JSON, out_folder
from bnnhw.cli.output import print_facts, print_json
from bnnhw.cli.program import WEIGHTS, read_program
from bnnhw.cli.progress import Stages
from bnnhw.cli.weight_file import WeightFile
from bnnhw.errors import BnnhwError
from bnnhw.spec.engine import ALL_COUNTERS, COUNTERS

if TYPE_CHECKING:
    from bnnhw.boards.host import Host
    from bnnhw.boards.simulated import SimulatedDevice


@click.command()
@BOARD
@click.option("--port", required=True, metavar="P", help="Serial port, such as /dev/ttyUSB0; sim simulates the board.")
@click.option("--model", "-m", metavar="M", help="Network that the board must run; needed with --port sim.")
@click.option("--build", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Its build.")
@click.option("--weights", type=click.Path(path_type=Path), metavar="F", help="Instead of weights.bin in its build.")
@click.option("--counters", is_flag=True, help="Read the engine's counters, too.")
@click.argument("files", nargs=-1, required=True, metavar="F ...")
@JSON
def run(
    board: str,
    port: str,
    model: str | None,
    folder: Path | None,
    weights: Path | None,
    counters: bool,
    files: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the image files F on a board and print class and scores of each.

    With --model (or --build) the board must run that very build, and classes have names. The bitstream is loaded
    beforehand, for example with `openFPGALoader -b ulx3s build/<model>-<board>/top.bit`. A design with weights in SDRAM
    gets them once after that, from weights.bin; when that was interrupted, it goes on from there.
    """
    from bnnhw import boards
    from bnnhw.boards.host import Host
    from bnnhw.boards.pipe import SerialPipe
    from bnnhw.models import data

    stages = Stages()
    target = boards.get(board)
    if folder is None and model is not None:
        folder = out_folder(model, board)
    classes: Sequence[str] = ()
    build: int | None = None
    if port == "sim":
        if model is None:
            raise click.UsageError("--model must be given with --port sim")
        device, classes = _simulated(model, stages)
        host = Host(device)
    else:
        if folder is not None:
            program = read_program(folder / "program.json")
            classes, build = program["classes"], int(program["build"], 16)
        host = Host(SerialPipe(port, target.max_baud))
    try:
        if build is not None:
            host.check_build(build)
        identity = host.identity
        _load(host, weights or (folder / WEIGHTS if folder is not None else None), stages)
        images = data.load_images(files, (identity.height, identity.width, identity.channels))
        with stages.stage("run") as step:
            scores = _scores(host, images, step)
        values = dict(zip(ALL_COUNTERS, host.counters(), strict=False)) if counters else None
    finally:
        host.close()
    results = [_result(name, found, classes) for name, found in zip(_names(files, len(images)), scores, strict=True)]
    if as_json:
        print_json({"board": board, "build": f"{identity.build:016x}", "results": results, "counters": values})
        return
    print_facts((r["image"], f"{r['class']}   scores {' '.join(map(str, r['scores']))}") for r in results)
    print_facts((f"counter {name}", f"{value:,}") for name, value in (values or {}).items())


def _load(host: Host, path: Path | None, stages: Stages) -> None:
    """The weights for a device that wants some; nothing is sent unless they are the right ones."""
    identity = host.identity
    if not identity.weight_bytes:
        return
    if path is None:
        raise BnnhwError(
            f"the device's {identity.weight_bytes} bytes of weights must be given with --model, --build or --weights"
        )
    found = WeightFile.read(path)
    found.check(path, identity)
    with stages.stage("load weights") as step:
        host.load(found.content, lambda done, size: step("load weights", done, size))


def _scores(host: Host, images: np.ndarray[Any, Any], step: Callable[[str, int, int], None]) -> list[list[int]]:
    found = []
    for scores in host.infer_all(image.tobytes() for image in images):
        found.append(scores)
        step("run", len(found), len(images))
    return found


def _result(name: str, scores: Sequence[int], classes: Sequence[str]) -> dict[str, Any]:
    best = int(np.argmax(scores))
    return {"image": name, "class": classes[best] if classes else best, "scores": list(scores)}


def _names(files: Sequence[str], count: int) -> list[str]:
    """A name for each image; a file may hold several."""
    return list(files) if len(files) == count else [f"{', '.join(files)} [{index}]" for index in range(count)]


def _simulated(model: str, stages: Stages) -> tuple[SimulatedDevice, Sequence[str]]:
    """A device that speaks the host link and computes with the golden model."""
    from bnnhw import models
    from bnnhw.boards.simulated import SimulatedDevice
    from bnnhw.compiler.lower import lower
    from bnnhw.sim import golden
    from bnnhw.spec.link import Identity
    from bnnhw.spec.numbers import Fixed

    with stages.stage("lower"):
        network = lower(models.load(model))
    shape, output = network.tensors[network.input], network.tensors[network.output]
    assert isinstance(output.format, Fixed)

    def engine(image: bytes) -> list[int]:
        pixels = np.frombuffer(image, np.uint8).reshape(1, shape.height, shape.width, shape.channels)
        return [int(score) for score in golden.run(network, pixels)[0]]

    identity = Identity(
        build=0,
        height=shape.height,
        width=shape.width,
        channels=shape.channels,
        scores=output.channels,
        score_bits=output.format.width,
        counters=len(COUNTERS),
        clock_hz=100_000_000,
    )
    return SimulatedDevice(identity, engine), network.classes
