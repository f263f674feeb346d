"""Pooling over the value memory."""
