"""Every check in one command: lint, types, tests. Stops at the first that fails; arguments go to pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKS = (
    ["-m", "ruff", "check", "."],
    [".ci/typecheck.py"],
    ["-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "--durations", "10"],
)

if __name__ == "__main__":
    for check in CHECKS:
        arguments = sys.argv[1:] if "pytest" in check else []
        code = subprocess.run([sys.executable, *check, *arguments], cwd=ROOT).returncode
        if code:
            sys.exit(code)
