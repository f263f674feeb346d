"""Maps the top-level folders to sub-packages of ``bnnhw``; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

FOLDERS = ("hw", "compiler", "sim", "boards", "models")


def packages_below(folder: str, name: str) -> list[str]:
    """The package ``name`` that lies in ``folder``, and the packages inside it."""
    return [name, *(f"{name}.{inner}" for inner in find_packages(folder))]


setup(
    package_dir={"bnnhw": "bnnhw"} | {f"bnnhw.{folder}": folder for folder in FOLDERS},
    packages=packages_below("bnnhw", "bnnhw") + [p for f in FOLDERS for p in packages_below(f, f"bnnhw.{f}")],
)
