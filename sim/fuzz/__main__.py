"""Command line: python -m bnnhw.sim.fuzz --count 200 --seed 1 [--level machine|rtl]."""

import sys

import click

from bnnhw.sim.fuzz import LEVELS, main


@click.command(
    help="Random networks through compiler, golden model, machine model and circuit; exit status 1 on a mismatch."
)
@click.option("--count", default=200, show_default=True, type=click.IntRange(1), help="networks")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="of all random choices")
@click.option("--first", default=0, type=click.IntRange(0), help="number of the first network")
@click.option("--level", default="rtl", show_default=True, type=click.Choice(LEVELS), help="how deep to go")
@click.option("--jobs", default=None, type=click.IntRange(1), help="processes; default: all processors")
def command(count: int, seed: int, first: int, level: str, jobs: int | None) -> None:
    sys.exit(1 if main(count, seed, first=first, level=level, jobs=jobs, report=click.echo) else 0)


if __name__ == "__main__":
    command()
