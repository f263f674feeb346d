"""The saved network: what is written is read; anything else is refused in one line."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from bnnhw.compiler.ir import GlobalAvgPool, Graph, Input, Node
from bnnhw.compiler.ir import file as saved
from bnnhw.compiler.ir.printer import to_text
from bnnhw.errors import BnnhwError, FileFormatError
from tests.compiler.float_networks import random_graph


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "net.bnn"
    saved.save(random_graph(3)[0], path)
    return path


def header_of(path: Path) -> tuple[dict, dict]:
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["bnnhw"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def rewrite(path: Path, header: dict, tensors: dict) -> None:
    save_file(tensors, path, metadata={"bnnhw": json.dumps(header)})


def message(path: Path) -> str:
    with pytest.raises(FileFormatError) as caught:
        saved.load(path)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(path), "F")


@pytest.mark.parametrize("seed", range(10))
def test_round_trip(seed: int, tmp_path: Path) -> None:
    graph = random_graph(seed)[0].with_meta(classes=[], ranges={"image": [0.0, 1.5]}, weights="untrained")
    saved.save(graph, tmp_path / "a.bnn")
    again = saved.load(tmp_path / "a.bnn")
    assert to_text(again) == to_text(graph)
    assert dict(again.meta) == dict(graph.meta)
    for before, after in zip(graph.nodes, again.nodes, strict=True):
        assert before.inputs == after.inputs
        for f in fields(before.op):
            np.testing.assert_array_equal(getattr(before.op, f.name), getattr(after.op, f.name))
    saved.save(again, tmp_path / "b.bnn")
    assert (tmp_path / "a.bnn").read_bytes() == (tmp_path / "b.bnn").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bnn", "b.bnn"]


@pytest.mark.parametrize("keep", [0, 1, 7, 100, -1])
def test_truncated(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    assert message(path).startswith("F: must be a whole .bnn file, not a truncated or other one (")


def test_other_kinds_of_file(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n" + bytes(1000))
    assert message(path).startswith("F: must be a whole .bnn file, not a truncated or other one (")
    save_file({"a": np.zeros(1)}, path)
    assert message(path) == "F: must be a network saved by bnnhw, not another safetensors file"
    save_file({"a": np.zeros(1)}, path, metadata={"bnnhw": '{"kind": "report"}'})
    assert message(path) == "F: must be a network saved by bnnhw, not another kind of file"


def test_missing_and_folder(tmp_path: Path) -> None:
    assert message(tmp_path / "no.bnn") == "F: must be a saved network, not missing"
    assert message(tmp_path) == "F: must be a saved network, not a folder"


def test_wrong_version(path: Path) -> None:
    header, tensors = header_of(path)
    rewrite(path, {**header, "version": 2}, tensors)
    assert message(path) == "F: must be of version 1, not 2"


def test_tampered_tensor(path: Path) -> None:
    header, tensors = header_of(path)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + 1
    rewrite(path, header, tensors)
    assert message(path) == "F: the content must match its checksum, not differ: the file was damaged or edited"


def test_flipped_bit_anywhere_in_the_data(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    assert message(path) == "F: the content must match its checksum, not differ: the file was damaged or edited"


def test_tampered_description(path: Path) -> None:
    header, tensors = header_of(path)
    rewrite(path, {**header, "network": header["network"].replace("Conv", "Cove")}, tensors)
    assert message(path) == "F: the content must match its checksum, not differ: the file was damaged or edited"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("GlobalAvgPool", "Exec", "F: node 'gap': the operation must be one of Input, Binarize, BinaryConv, Conv, "
         "BatchNorm, Bias, TwoSlope, Clamp, Add, Shortcut, AvgPool, MaxPool, GlobalAvgPool, Flatten, "
         "Levels, ChannelMean, Tile, Scale, not Exec"),
        ('"channels":1', '"colours":1', "F: must describe a network, not what fails with TypeError("
         "\"Input.__init__() got an unexpected keyword argument 'colours'\")"),
        ('"output":"gap"', '"output":"nap"', "F: the output of a network must be one of its nodes, not 'nap'"),
    ],
)  # fmt: skip
def test_consistent_checksum_does_not_make_a_network(tmp_path: Path, old: str, new: str, text: str) -> None:
    path = tmp_path / "net.bnn"
    nodes = (Node("image", Input(1, 2, 2, [0], [1])), Node("gap", GlobalAvgPool(), ("image",)))
    saved.save(Graph(nodes, "gap"), path)
    header, tensors = header_of(path)
    network = header["network"].replace(old, new)
    assert network != header["network"]
    rewrite(path, {**header, "network": network, "sha256": saved._checksum(network, tensors)}, tensors)
    assert message(path) == text


def test_nothing_is_written_where_it_cannot_be(tmp_path: Path) -> None:
    graph = random_graph(3)[0]
    with pytest.raises(BnnhwError) as caught:
        saved.save(graph, tmp_path / "no" / "net.bnn")
    text = str(caught.value).replace(str(tmp_path), "T")
    assert text == "T/no/net.bnn: the folder must exist and be writable, not fail with 'No such file or directory'"
    (tmp_path / "dir.bnn").mkdir()
    with pytest.raises(BnnhwError) as caught:
        saved.save(graph, tmp_path / "dir.bnn")
    text = str(caught.value).replace(str(tmp_path), "T")
    assert text == "T/dir.bnn: must be a file that can be written, not fail with 'Is a directory'"
    assert [p.name for p in tmp_path.iterdir()] == ["dir.bnn"]
