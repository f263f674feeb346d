"""Maps the top-level folders to sub-packages of ``bnnhw``; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

FOLDERS = ("hw", "compiler", "sim", "boards", "models")

setup(
    package_dir={"bnnhw": "bnnhw"} | {f"bnnhw.{folder}": folder for folder in FOLDERS},
    packages=["bnnhw"]
    + [f"bnnhw.{name}" for name in find_packages("bnnhw")]
    + [name for folder in FOLDERS for name in [f"bnnhw.{folder}", *(f"bnnhw.{folder}.{sub}" for sub in find_packages(folder))]],
)
