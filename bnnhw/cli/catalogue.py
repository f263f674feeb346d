"""``bnnhw models`` and ``bnnhw boards``: what there is."""

from __future__ import annotations

from dataclasses import asdict

import click

from bnnhw.cli.options import JSON
from bnnhw.cli.output import print_json, print_table


@click.command()
@JSON
def models(as_json: bool) -> None:
    """List the shipped networks.

    macs: multiply-accumulates an image; ace: the same times weight bits times activation bits; weight_bits: bits of
    all stored weights.
    """
    from bnnhw import models as catalogue

    found = [catalogue.info(catalogue.load(name), name) for name in catalogue.names()]
    if as_json:
        print_json([asdict(info) | {"input": list(info.input)} for info in found])
        return
    columns = ("name", "input", ">MACs", ">ACE", ">weight bits", "weights", "paper")
    print_table(
        columns,
        (
            (i.name, "x".join(map(str, i.input)), f"{i.macs:,}", f"{i.ace:,}", f"{i.weight_bits:,}", i.trained, i.paper)
            for i in found
        ),
    )


@click.command()
@JSON
def boards(as_json: bool) -> None:
    """List the boards and what their chips have."""
    from bnnhw import boards as catalogue

    found = [catalogue.get(name) for name in catalogue.names()]
    if as_json:
        print_json([{"name": b.name, "title": b.title, "resources": dict(b.resources.items())} for b in found])
        return
    columns = ("name", "board", ">LUT4", ">flip-flops", ">block RAMs", ">multipliers")
    print_table(columns, ((b.name, b.title, *(f"{count:,}" for _, count in b.resources.items())) for b in found))
