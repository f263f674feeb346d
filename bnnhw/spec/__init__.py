"""What compiler, golden model and hardware share: number contract, engine shape, memory-image layouts.

Imports nothing else of this package, so that a mistake cannot hide on both sides of a comparison.
"""
