"""The report of a build: report.json with a versioned schema, and a self-contained report.html drawn from it alone."""

from bnnhw.report.bounds import Roofline, frame_roofline, layer_roofline
from bnnhw.report.build import build_report, check_report, read_report, write_report
from bnnhw.report.html import render_html
from bnnhw.report.inputs import Accuracy, Array, LayerCost, MapMemory, Memory, PlacedMap, ReportInputs, Simulation

__all__ = [
    "Accuracy",
    "Array",
    "LayerCost",
    "MapMemory",
    "Memory",
    "PlacedMap",
    "ReportInputs",
    "Roofline",
    "Simulation",
    "build_report",
    "check_report",
    "frame_roofline",
    "layer_roofline",
    "read_report",
    "render_html",
    "write_report",
]
