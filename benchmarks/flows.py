"""Training a posterior estimator: jaxastro against flowjax and sbi on the same simulations.

    python benchmarks/flows.py --codes jaxastro,flowjax,sbi

One thread, 10,000 simulations of two_moons and slcp, the same pairs for all. Reported: CPU seconds
to train (compilation included, and a second training of the same shapes), mean log density of
20,000 new pairs in theta's own units, CPU milliseconds for 10,000 draws (median of 7). Each code
runs in a process of its own, one after the other; `--python sbi=PATH` names the interpreter of a
code that lives in another environment. flowjax and sbi train with their own defaults on parameters
mapped to unconstrained space (sbi: its own box transform by `z_score_theta`), as their tutorials
do.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

THREADS = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NPROC": "1",
}
HALF_WIDTH = {"two_moons": 1.0, "slcp": 3.0}
N_TEST = 20_000


def make_data(folder):
    """Training and test pairs of both tasks, as .npy files."""
    import jax
    import numpy as np

    from benchmarks.sbibm.tasks import task
    from jaxastro.sbi import simulate

    for name in HALF_WIDTH:
        for part, n, seed in (("train", 10_000, 0), ("test", N_TEST, 1)):
            pairs = simulate(jax.random.key(seed), task(name).model, n)
            np.save(folder / f"{name}_{part}_theta.npy", pairs.params["theta"].astype(np.float32))
            np.save(folder / f"{name}_{part}_x.npy", np.asarray(pairs.observations, np.float32))


def load(folder, name):
    import numpy as np

    return [
        np.load(folder / f"{name}_{p}_{v}.npy") for p in ("train", "test") for v in ("theta", "x")
    ]


def median_ms(function):
    times = []
    for i in range(8):
        begin = time.process_time()
        function(i)
        times.append(time.process_time() - begin)
    return sorted(times[1:])[3] * 1e3


def time_jaxastro(folder, name):
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks.sbibm.tasks import task
    from jaxastro.sbi import Simulations, npe

    theta, x, new_theta, new_x = load(folder, name)
    seconds = []
    for seed in (0, 1):
        begin = time.process_time()
        pairs = Simulations(task(name).model.prior, {"theta": theta}, x)
        estimator, fitted = npe(jax.random.key(seed), pairs)
        jax.block_until_ready(fitted.network)
        seconds.append(time.process_time() - begin)
        params = {"theta": jnp.asarray(new_theta)}
        log_q = eqx.filter_jit(lambda e, p, x: jax.vmap(e.log_prob)(p, x))
        mean = float(np.mean(log_q(estimator, params, jnp.asarray(new_x))))
        yield {"seconds": seconds[-1], "log_q": mean, "epochs": len(fitted.loss)}
    posterior = estimator.posterior(new_x[0])
    draw = median_ms(lambda i: jax.block_until_ready(posterior.sample(jax.random.key(i), 10_000)))
    yield {"draws_ms": draw}


def time_flowjax(folder, name):
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flowjax.distributions import Normal
    from flowjax.flows import masked_autoregressive_flow
    from flowjax.train import fit_to_data

    theta, x, new_theta, new_x = load(folder, name)
    half = HALF_WIDTH[name]

    def free(theta):
        return np.log((half + theta) / (half - theta))

    # log |du/dtheta| of the logit, for densities in theta's own units.
    log_det = np.sum(np.log(2 * half / (half**2 - new_theta**2)), 1)
    u, new_u = free(theta), free(new_theta)
    mean, scale, x_mean, x_scale = u.mean(0), u.std(0), x.mean(0), x.std(0)
    for seed in (0, 1):
        key = jax.random.key(seed)
        begin = time.process_time()
        flow = masked_autoregressive_flow(
            key, base_dist=Normal(jnp.zeros(theta.shape[1])), cond_dim=x.shape[1]
        )
        data = (jnp.asarray((u - mean) / scale), jnp.asarray((x - x_mean) / x_scale))
        result = fit_to_data(key, flow, data, show_progress=False)
        flow = jax.block_until_ready(eqx.filter(result[0], eqx.is_array)) and result[0]
        seconds = time.process_time() - begin
        log_q = eqx.filter_jit(lambda f, u, x: f.log_prob(u, x))(
            flow, jnp.asarray((new_u - mean) / scale), jnp.asarray((new_x - x_mean) / x_scale)
        )
        value = float(np.mean(np.asarray(log_q) - np.log(scale).sum() + log_det))
        yield {"seconds": seconds, "log_q": value, "epochs": len(result[1]["train"])}
    condition = jnp.asarray((new_x[0] - x_mean) / x_scale)
    sample = eqx.filter_jit(lambda f, k: f.sample(k, (10_000,), condition=condition))
    yield {"draws_ms": median_ms(lambda i: jax.block_until_ready(sample(flow, jax.random.key(i))))}


def time_sbi(folder, name):
    import numpy as np
    import torch
    from sbi.inference import NPE
    from sbi.utils import BoxUniform

    torch.set_num_threads(1)
    theta, x, new_theta, new_x = (torch.as_tensor(a) for a in load(folder, name))
    half = HALF_WIDTH[name] * torch.ones(theta.shape[1])
    for seed in (0,):
        torch.manual_seed(seed)
        begin = time.process_time()
        inference = NPE(
            prior=BoxUniform(-half, half), density_estimator="nsf", show_progress_bars=False
        )
        inference = inference.append_simulations(theta, x)
        estimator = inference.train()
        seconds = time.process_time() - begin
        with torch.no_grad():
            log_q = estimator.log_prob(new_theta[None], condition=new_x)[0]
        epochs = inference.summary["epochs_trained"][-1]
        value = float(np.mean(log_q.numpy()))
        yield {"seconds": seconds, "log_q": value, "epochs": int(epochs)}
    posterior = inference.build_posterior(estimator)

    def draw(i):
        posterior.sample((10_000,), x=new_x[0], show_progress_bars=False)

    yield {"draws_ms": median_ms(draw)}


CODES = {"jaxastro": time_jaxastro, "flowjax": time_flowjax, "sbi": time_sbi}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--codes", default=",".join(CODES))
    parser.add_argument("--tasks", default=",".join(HALF_WIDTH))
    parser.add_argument("--python", action="append", default=[], metavar="CODE=PATH")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        code, folder, name = options.child
        for result in CODES[code](Path(folder), name):
            print(json.dumps({"code": code, "task": name} | result), flush=True)
        return
    pythons = dict(entry.split("=", 1) for entry in options.python)
    environment = os.environ | THREADS
    root = str(Path(__file__).parents[1])
    environment["PYTHONPATH"] = root
    sys.path.insert(0, root)
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder))
        for name in options.tasks.split(","):
            for code in options.codes.split(","):
                command = [
                    pythons.get(code, sys.executable),
                    __file__,
                    "--child",
                    code,
                    folder,
                    name,
                ]
                subprocess.run(command, env=environment, cwd=folder, check=False)


if __name__ == "__main__":
    main()
