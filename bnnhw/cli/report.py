"""``bnnhw report``: the HTML report of a build, rendered from its report.json."""

from __future__ import annotations

from pathlib import Path

import click

from bnnhw.cli.options import JSON
from bnnhw.cli.output import print_facts, print_json


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@JSON
def report(folder: Path, as_json: bool) -> None:
    """Render report.html of the build in DIR from its report.json."""
    from bnnhw.report import read_report, render_html

    found = read_report(folder / "report.json")
    path = render_html(found, folder)
    if as_json:
        print_json(found)
    else:
        print_facts([("report", path)])
