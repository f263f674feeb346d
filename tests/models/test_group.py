"""Two processes train one network: the same in both, from gradients of both halves of a batch, saved by the first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bnnhw import models
from bnnhw.errors import BnnhwError
from bnnhw.models.recipes.snn_digits import RECIPE
from bnnhw.models.training.group import Group, joined
from bnnhw.models.training.loop import Training
from bnnhw.models.training.run import load

WORKER = """
import sys
from pathlib import Path
import torch
from bnnhw.cli import main
from bnnhw.models.training.group import Group
from bnnhw.models.training.loop import Training

out = Path(sys.argv[1])
kept, finish, share = {}, Training.finish, Group.share

def watched_finish(self, path, progress):
    kept["seen"] = [self._chosen(step).tolist() for step in (0, 1)]
    kept["run"] = self.run
    finish(self, path, progress)
    kept["shared"] = self.network.state_dict()
    torch.save(kept, out.with_name(f"rank{self.group.rank}.pt"))

def watched_share(self, network):
    kept["own"] = {key: value.clone() for key, value in network.state_dict().items()}
    share(self, network)

Training.finish, Group.share = watched_finish, watched_share
sys.exit(main(["train", "snn_digits", "-o", str(out), "--epochs", "2", "--json"]))
"""


def test_two_processes(tmp_path: Path) -> None:
    """The second epoch moves codewords, too (step 25). Until the end each has batch statistics of its own images."""
    script, out = tmp_path / "worker.py", tmp_path / "net.bnn"
    script.write_text(WORKER)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([*launcher, str(script), str(out)], capture_output=True, text=True, env=quiet, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["path"] == str(out), "one process tells"
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    for key, value in first["own"].items():
        alike = torch.equal(value, second["own"][key])
        assert alike != key.endswith(("running_mean", "running_var")), key
        assert torch.equal(first["shared"][key], second["shared"][key]), key
    assert first["run"]["processes"] == 2
    for mine, other in zip(first["seen"], second["seen"], strict=True):
        assert len(mine) == len(other) == RECIPE.batch // 2
        assert not set(mine) & set(other)
    torch.manual_seed(1)
    before = RECIPE.network().state_dict()
    assert any((value - before[key]).abs().max() > 1e-4 for key, value in first["own"].items() if "patterns" in key)
    assert not list(tmp_path.glob("*.state"))
    graph = models.load(out)
    assert graph.meta["command"] == "bnnhw train snn_digits --seed 1 --epochs 2"


def test_one_process_is_a_group_of_its_own() -> None:
    with joined({}) as group:
        assert group == Group(0, 1, 0)
        assert group.any(True)
        assert not group.any(False)


def test_faults() -> None:
    with pytest.raises(BnnhwError) as error, joined({"WORLD_SIZE": "2", "RANK": "0"}):
        pass
    assert str(error.value) == "with WORLD_SIZE the variable LOCAL_RANK must be set, too: start with torchrun"
    with pytest.raises(BnnhwError) as error:
        Training(RECIPE, load(RECIPE, [], 1), 1, 1, group=Group(0, 3, 0))
    assert str(error.value) == "processes must divide the batch of snn_digits, 64, not 3"
