"""Boards and the flow from a design to their bitstreams: `get`, `names`; `bnnhw.boards.flow` builds."""

from bnnhw.boards.board import Board, Resources, get, names

__all__ = ["Board", "Resources", "get", "names"]
