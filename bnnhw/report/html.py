"""Renders report.html: one file without scripts or external resources, made from report.json alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from bnnhw.report.bars import cycle_bars, legend, total_bar
from bnnhw.report.build import check_report
from bnnhw.report.floorplan import chip_legend, chip_picture
from bnnhw.report.maps import map_pictures
from bnnhw.report.roofline import roofline_plot
from bnnhw.report.svg import grouped, percent, si

RESOURCE_NAMES = {"lut4": "LUT4", "ff": "Flip-flops", "bram": "Block RAMs", "dsp": "Multipliers"}


def render_html(report: Mapping[str, Any], out_dir: Path) -> Path:
    """Write ``out_dir``/report.html, whole or not at all, and return its path.

    Raises FileFormatError when ``report`` does not follow the schema.
    """
    check_report(report)
    path = out_dir / "report.html"
    part = out_dir / "report.html.part"
    part.write_text(render(report), "utf-8")
    os.replace(part, path)
    return path


def render(report: Mapping[str, Any]) -> str:
    """The page as text. All that comes from the report is escaped; only our own drawings are not."""
    files = resources.files("bnnhw.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(si=si, grouped=grouped, percent=percent)
    template = environment.from_string(files.joinpath("report.html").read_text("utf-8"))
    plan = report["floorplan"]
    return template.render(
        r=report,
        css=Markup(files.joinpath("report.css").read_text("utf-8")),
        verdicts=verdicts(report),
        cards=cards(report),
        total_bar=Markup(total_bar(report)),
        bars=Markup(cycle_bars(report)),
        legend=legend(report),
        roofline=Markup(roofline_plot(report)),
        chip=Markup(chip_picture(plan)) if plan else "",
        chip_legend=chip_legend(plan) if plan else [],
        resources=_resources(report),
        maps=[(caption, Markup(drawing)) for caption, drawing in map_pictures(report)],
        names=[layer["name"] for layer in report["layers"]],
        losses=[name for name, cycles in report["losses"].items() if cycles],
    )


def verdicts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(state, sentence) for each thing a build must show; state is good, bad or open."""
    simulation, cycles = report["simulation"], report["cycles"]
    found = []
    if simulation is None:
        found.append(("open", "not simulated"))
    else:
        images = f"{simulation['images']} image{'s' if simulation['images'] != 1 else ''}"
        if simulation["mismatches"]:
            found.append(("bad", f"{simulation['mismatches']} scores differ from the golden model on {images}"))
        else:
            found.append(("good", f"bit-exact with the golden model on {images} ({simulation['level']})"))
        if cycles["predicted"] == cycles["simulated"]:
            found.append(("good", "predicted cycles = simulated cycles"))
        else:
            found.append(("bad", f"predicted {cycles['predicted']} cycles, simulated {cycles['simulated']}"))
    if report["fmax_mhz"] is None:
        found.append(("open", "not placed and routed"))
    else:
        met, words = ("good", "timing met") if report["timing_met"] else ("bad", "timing not met")
        found.append((met, f"{words}: {report['fmax_mhz']:.1f} MHz reached, {report['clock_mhz']:g} MHz used"))
    return found


def cards(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, value, remark) of the summary, the most important first."""
    cycles = report["cycles"]["simulated"] or report["cycles"]["predicted"]
    shape = report["array"]
    array = f"{shape['rows']}×{shape['cols']}×{shape['depth']}"
    found = [
        ("Frames per second", grouped(report["fps"]), f"steady state; the host link allows {si(report['fps_link'])}"),
        ("Cycles per frame", grouped(cycles), f"roofline {grouped(report['cycles']['roofline'])}"),
        ("Utilisation", percent(report["utilisation"]), "roofline over cycles"),
        ("Clock", f"{report['clock_mhz']:g} MHz", _remark_clock(report)),
        ("Latency", f"{report['latency_ms']:.3g} ms", "image in the engine to last score"),
        ("Array", array, f"rows × cols × depth, {shape['lanes']} lanes"),
    ]
    if report["lut4_per_mac"] is not None:
        found.append(("LUT4 per MAC", f"{report['lut4_per_mac']:.2f}", "array with accumulators and drain"))
    accuracy = report["accuracy"]
    if accuracy:
        remark = f"{accuracy['correct']} of {accuracy['count']}, {accuracy['data']}"
        found.append(("Accuracy", percent(accuracy["accuracy"]), remark))
    return found


def _remark_clock(report: Mapping[str, Any]) -> str:
    return "not routed" if report["fmax_mhz"] is None else f"up to {report['fmax_mhz']:.1f} MHz after routing"


def _resources(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": RESOURCE_NAMES[name],
            **found,
            "share": found["used"] / found["available"] if found["available"] else 0.0,
        }
        for name, found in (report["resources"] or {}).items()
    ]
