"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bnnhw.compiler.plan import Shape

Decorator = Callable[[Any], Any]


class ShapeType(click.ParamType):  # type: ignore[type-arg]  # generic for newer click only
    """``auto``, or a shape as it is written, with FETCH columns of weights loaded a cycle and FRONT channels at once of
    the front unit, 0 for none."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shape | None:
        from bnnhw.compiler.plan import Shape

        return None if value == "auto" else Shape.parse(str(value))


MODEL = click.option("--model", "-m", required=True, metavar="M", help="A shipped name or a .bnn file.")
BOARD = click.option("--board", "-b", required=True, metavar="B", help="A board; `bnnhw boards` lists them.")
DEFAULT_BOARD = click.option("--board", "-b", default="ulx3s", show_default=True, metavar="B", help="A board.")
SHAPE = click.option(
    "--shape", type=ShapeType(), default="auto", show_default=True, help="ROWSxCOLSxDEPTHxLANES[xFETCH[xFRONT]]."
)
FPS = click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True),
    default=3000.0,
    show_default=True,
    metavar="N",
    help="auto takes the array that fills the chip least with N frames a second, or one of the fastest that fit.",
)
CLOCK = click.option(
    "--clock", type=click.FloatRange(min=1), default=100.0, show_default=True, metavar="MHZ", help="Clock."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
DATA_HELP = (
    "A CIFAR-10 .bin file, a folder of idx files, a folder <class>/<image>, an .npz file with images and labels, "
    "or the name digits."
)
DATA = click.option("--data", metavar="D", help=DATA_HELP)
COUNT = click.IntRange(min=1)


def out_folder(model: str, board: str, suffix: str = "") -> Path:
    """Where results go below the working folder: build/<model>-<board>."""
    return Path("build") / f"{Path(model).stem if model.endswith('.bnn') else model}-{board}{suffix}"
