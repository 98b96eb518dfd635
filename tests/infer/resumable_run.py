"""The run that `test_resume` starts in a child process and kills: `resumable_run.py DIRECTORY`."""

import sys
import time

import jax
import numpy as np

from jaxastro.infer import chains, nuts
from tests.infer.targets import gaussian_target


def run(checkpoint=None, seed=0, every=20, observation=0.3, **more):
    target = gaussian_target(np.diag([1e-4, 1e-2]), [observation, -0.2])
    settings = {"n_chains": 3, "n_warmup": 60, "n_draws": 110} | more
    return nuts(jax.random.key(seed), target, every=every, checkpoint=checkpoint, **settings)


if __name__ == "__main__":
    chains.SAVE_SECONDS = 0.0
    run(sys.argv[1], progress=lambda p: time.sleep(0.1))
