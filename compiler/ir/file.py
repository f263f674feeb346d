"""The saved network, a .bnn file: safetensors with one JSON document as metadata; versioned and checksummed.

Nothing in the file can run code. Same network, same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from bnnhw.compiler.ir.graph import Graph, Node
from bnnhw.compiler.ir.op import Op
from bnnhw.compiler.ir.ops import PUBLIC_OPS
from bnnhw.errors import BnnhwError, FileFormatError

KIND = "bnnhw network"
VERSION = 1
_KEY = "bnnhw"
_OPS: dict[str, type[Op]] = {op.__name__: op for op in PUBLIC_OPS}


def save(graph: Graph, path: str | Path) -> None:
    """Writes a verified network. The file appears complete or not at all."""
    graph.verify()
    tensors: dict[str, NDArray[Any]] = {}
    nodes = []
    for node in graph.nodes:
        if node.op.kind not in _OPS:
            raise BnnhwError(
                f"node '{node.name}': an operation must be of the float network to be saved, not {node.op.kind}"
            )
        for name, array in node.op.arrays().items():
            small = array.astype(np.int8) if name == "sign" or name == "words" else array
            tensors[f"{node.name}/{name}"] = np.ascontiguousarray(small)
        arrays = list(node.op.arrays())
        nodes.append([node.name, node.op.kind, list(node.inputs), node.op.scalars(), arrays])
    document = {"output": graph.output, "meta": dict(graph.meta), "nodes": nodes}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    header = {"kind": KIND, "version": VERSION, "sha256": _checksum(text, tensors), "network": text}
    data = to_safetensors(tensors, metadata={_KEY: json.dumps(header, sort_keys=True, separators=(",", ":"))})
    _write(Path(path), data)


def load(path: str | Path) -> Graph:
    """Reads a saved network; raises FileFormatError in one line for anything that is not one, and whole."""
    header, tensors = _read(Path(path))
    text = header["network"]
    if _checksum(text, tensors) != header.get("sha256"):
        raise FileFormatError(
            f"{path}: the content must match its checksum, not differ: the file was damaged or edited"
        )
    document = json.loads(text)
    try:
        nodes = [_node(entry, tensors) for entry in document["nodes"]]
        return Graph(tuple(nodes), document["output"], document["meta"]).verify()
    except BnnhwError as error:
        raise FileFormatError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"{path}: must describe a network, not what fails with {error!r}") from None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    if not path.is_file():
        raise FileFormatError(f"{path}: must be a saved network, not {'a folder' if path.is_dir() else 'missing'}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise FileFormatError(f"{path}: must be a network saved by bnnhw, not another safetensors file")
            header = json.loads(metadata[_KEY])
            if not isinstance(header, dict) or header.get("kind") != KIND:
                raise FileFormatError(f"{path}: must be a network saved by bnnhw, not another kind of file")
            if header.get("version") != VERSION:
                raise FileFormatError(f"{path}: must be of version {VERSION}, not {header.get('version')}")
            if not isinstance(header.get("network"), str):
                raise FileFormatError(f"{path}: must hold a network description, not {header.get('network')!r}")
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise FileFormatError(f"{path}: must be a whole .bnn file, not a truncated or other one ({reason})") from None


def _node(entry: list[Any], tensors: dict[str, NDArray[Any]]) -> Node:
    name, kind, inputs, scalars, arrays = entry
    if kind not in _OPS:
        raise FileFormatError(f"node '{name}': the operation must be one of {', '.join(_OPS)}, not {kind}")
    values = {field: tensors[f"{name}/{field}"] for field in arrays}
    return Node(name, _OPS[kind](**scalars, **values), tuple(inputs))


def _checksum(text: str, tensors: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _write(path: Path, data: bytes) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise BnnhwError(f"{path}: the folder must exist and be writable, not fail with '{error.strerror}'") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise BnnhwError(f"{path}: must be a file that can be written, not fail with '{error.strerror}'") from None
