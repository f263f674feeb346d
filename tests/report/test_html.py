"""report.html: self-contained, well-formed, escaped, and telling what report.json says."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bnnhw.report import Simulation, build_report, check_report, render_html
from bnnhw.report.html import cards, render, verdicts
from bnnhw.report.svg import grouped, percent, si, tag
from tests.report.sample import inputs

VOID = {"meta", "br", "hr", "img", "link", "input"}


class _Nesting(HTMLParser):
    """Raises on an end tag that does not close the innermost open element."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return render(build_report(inputs()))


def test_well_formed(page: str) -> None:
    parser = _Nesting()
    parser.feed(page)
    assert parser.open == []


def test_self_contained(page: str) -> None:
    parser = _Nesting()
    parser.feed(page)
    assert not {"script", "link", "img", "iframe", "object"} & {name for name, _ in parser.seen}
    assert not [value for _, attrs in parser.seen for name, value in attrs if name in ("src", "href")]
    assert "url(" not in page
    assert "@import" not in page


def test_tells_every_layer_and_loss(page: str) -> None:
    found = inputs()
    for layer in found.layers:
        assert f"<th>{layer.name}" in page
    for meaning in found.losses.values():
        assert meaning in page
    assert found.command in page
    assert "112.4 MHz" in page
    assert page.count('class="drawing') == 6


def test_a_hostile_name_is_escaped() -> None:
    page = render(build_report(inputs(model="<script>alert(1)</script>")))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_bare_report_has_no_empty_sections() -> None:
    bare = inputs(simulation=None, accuracy=None, fmax_mhz=None, resources=None, lut4_array=None, placement=())
    page = render(build_report(bare))
    assert "<h2>Chip</h2>" not in page
    assert "not simulated" in page
    assert "not placed and routed" in page


def test_verdicts_on_a_bad_build() -> None:
    report = build_report(inputs(simulation=Simulation("rtl", 1, 3, 9999), fmax_mhz=99.5))
    assert verdicts(report) == [
        ("bad", "3 scores differ from the golden model on 1 image"),
        ("bad", f"predicted {report['cycles']['predicted']} cycles, simulated 9999"),
        ("bad", "timing not met: 99.5 MHz reached, 100 MHz used"),
    ]


def test_cards_of_a_full_build() -> None:
    names = [name for name, _, _ in cards(build_report(inputs()))]
    assert names[:3] == ["Frames per second", "Cycles per frame", "Utilisation"]
    assert names[-2:] == ["LUT4 per MAC", "Accuracy"]


def test_written_whole(tmp_path: Path) -> None:
    path = render_html(build_report(inputs()), tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text("utf-8").endswith("</html>")


def test_small_file(page: str) -> None:
    assert len(page) < 300_000
    assert max(map(int, re.findall(r'viewBox="0 0 (\d+)', page))) <= 126 * 8


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (1000, "1 k"),
        (12_345, "12.3 k"),
        (999_600, "1000 k"),
        (4.1e6, "4.1 M"),
        (0.5, "0.5"),
    ],
)
def test_si(value: float, text: str) -> None:
    assert si(value) == text


def test_numbers_and_tags() -> None:
    assert grouped(1234567) == "1\u202f234\u202f567"
    assert percent(0.4261) == "42.6\u202f%"
    assert tag("g", class_='a"b', stroke_width=1.50) == '<g class="a&quot;b" stroke-width="1.5"/>'


def test_tells_the_memory_plan(page: str) -> None:
    assert "activation memory: 56 banks of 900 words of 16 bits" in page
    assert "layer1.0.conv1.bits: 310 words from 300 on, layer1.0.conv1 to layer1.0.conv2" in page
    row = "<tr><th>stem.value</th><td>value memory</td><td>0</td><td>1\u202f024</td><td>stem</td>"
    assert row in page


def test_front_unit_is_named() -> None:
    stem, *others = inputs().layers
    apart = replace(stem, unit="front", cycles=0, ideal=0.0, losses={})
    page = render(build_report(inputs(layers=(apart, *others), front_ace=7168)))
    assert "array and front unit: 21.5 k ACE a cycle" in page
    assert "<th>stem <small>front unit</small></th>" in page


def test_report_without_bytes_of_maps() -> None:
    """As reports of version 1 were before maps could lie in the SDRAM: the schema lets them through."""
    report = build_report(inputs())
    page = render(report)
    for moved in (report["bytes"], *(layer["bytes"] for layer in report["layers"])):
        assert moved.pop("values") == 0
    assert render(check_report(report)) == page
