"""Boards, place and route, host link to a running board."""
