"""Links the top-level folders as sub-packages of bnnhw into the git-ignored .types/, and runs mypy on that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("hw", "compiler", "sim", "boards", "models")


def link(package: Path) -> None:
    """Fill ``package`` with links to the modules of bnnhw/ and to the folders that setup.py maps below it."""
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    inside = [entry for entry in sorted((ROOT / "bnnhw").iterdir()) if entry.suffix == ".py" or entry.is_dir()]
    for target in [*inside, *(ROOT / folder for folder in FOLDERS)]:
        if target.name != "__pycache__":
            (package / target.name).symlink_to(os.path.relpath(target, package))


if __name__ == "__main__":
    link(ROOT / ".types" / "bnnhw")
    sys.exit(subprocess.run([sys.executable, "-m", "mypy", *sys.argv[1:]], cwd=ROOT).returncode)
