"""One torch thread a test process: with several processes, more only wait for each other."""

import torch

torch.set_num_threads(1)
