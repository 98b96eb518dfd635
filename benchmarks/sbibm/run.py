"""Posteriors of the SBI benchmark by our methods, against its reference posteriors.

    python -m benchmarks.sbibm.run --wheel sbibm-1.1.0-py2.py3-none-any.whl --out results.jsonl

For each task, budget, method and seed: simulate, train, draw 10,000 samples for each of the ten
observations, C2ST against 10,000 reference samples, mean held-out log density of new pairs (of
posteriors in theta's own units). Posteriors of a learned likelihood or ratio (NLE, NRE) are drawn
by weighing 100,000 draws of NPE from the same simulations, and where fewer than 1000 of them are
effective by annealing from NPE; the smallest effective number over the observations is given, and
how many of them were annealed. One line of JSON a case is appended; cases that are in the file
already are skipped, so the command goes on where it was stopped. `--table` prints what is there.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.sbibm.references import References
from benchmarks.sbibm.tasks import TASKS, task
from jaxastro.core import Model
from jaxastro.diagnose import c2st
from jaxastro.sbi import anneal, fmpe, nle, npe, npse, nre, reweight, simulate

# Amortised posteriors, and learned likelihoods and ratios whose posteriors are drawn by weighing
# draws of an amortised one.
POSTERIORS = {"NPE": npe, "FMPE": fmpe, "NPSE": npse}
LIKELIHOODS = {"NLE": nle, "NRE": nre}
METHODS = (*POSTERIORS, *LIKELIHOODS)
N_CANDIDATES, N_EFFECTIVE = 100_000, 1000
# Published means at 10,000 simulations (sbi-benchmark/results, MIT): NPE, best classical method.
PUBLISHED = {
    "two_moons": (0.606, 0.554),
    "slcp": (0.901, 0.713),
    "gaussian_linear": (0.552, 0.536),
    "gaussian_linear_uniform": (0.553, 0.527),
    "gaussian_mixture": (0.661, 0.583),
    "bernoulli_glm": (0.678, 0.553),
    "sir": (0.680, 0.561),
    "lotka_volterra": (0.997, 0.738),
}


def run(name, method, n, seed, references, members):
    """One case: a dict of what was measured."""
    made = task(name)
    data_key, train_key, draw_key, test_key, c2st_key = jax.random.split(jax.random.key(seed), 5)
    began = time.perf_counter()
    pairs = simulate(data_key, made.model, n)
    simulated = time.perf_counter()
    estimator, fitted = POSTERIORS.get(method, npe)(train_key, pairs, members=members)
    learned = None
    if method in LIKELIHOODS:
        learned, fitted = LIKELIHOODS[method](jax.random.fold_in(train_key, 1), pairs)
    trained = time.perf_counter()
    found = {}
    if learned is None:
        test = simulate(test_key, made.model, 2000)
        params, x = jax.tree.map(jnp.asarray, (test.params, test.observations))
        log_q = eqx.filter_jit(lambda e: jax.vmap(e.log_prob)(params, x))(estimator)
        found["held_out_log_prob"] = round(float(np.mean(log_q)), 4)
    draws, reference, ess, annealed = [], [], [], 0
    for i in range(1, made.n_observations + 1):
        x = jnp.asarray(references.observation(name, i), pairs.observations.dtype)
        key, posterior = jax.random.fold_in(draw_key, i), estimator.posterior(x)
        if learned is not None:
            model = Model(made.model.prior, learned)
            weighed = reweight(key, posterior, model, x, n=N_CANDIDATES)
            ess.append(weighed.ess)
            if weighed.ess < N_EFFECTIVE:
                annealed += 1
                posterior = anneal(key, posterior, model, x, n=10_000).posterior
            else:
                posterior = weighed.posterior
        draws.append(np.asarray(posterior.sample(key, 10_000)["theta"]))
        reference.append(references.posterior_samples(name, i))
    if ess:
        found |= {"smallest_ess": round(min(ess)), "annealed": annealed}
    drawn = time.perf_counter()
    values = c2st(c2st_key, np.stack(reference), np.stack(draws))
    return {
        "c2st": [round(float(v), 4) for v in values],
        **found,
        "epochs": len(fitted.loss),
        "seconds_simulate": round(simulated - began, 2),
        "seconds_train": round(trained - simulated, 2),
        "seconds_draw": round(drawn - trained, 2),
        "seconds_c2st": round(time.perf_counter() - drawn, 2),
    }


def table(path):
    """What is in the file, a line a case."""
    print(f"{'task':24}{'method':8}{'n':>8}{'seed':>5}{'C2ST':>8}{'NPE pub.':>10}{'best pub.':>10}")
    for line in Path(path).read_text().splitlines():
        r = json.loads(line)
        published = PUBLISHED.get(r["task"], ("", "")) if r["n"] == 10_000 else ("", "")
        print(
            f"{r['task']:24}{r['method']:8}{r['n']:8}{r['seed']:5}{np.mean(r['c2st']):8.3f}"
            f"{published[0]:>10}{published[1]:>10}  log q {r.get('held_out_log_prob', '-')}, "
            f"{r['epochs']} epochs, {r['seconds_train']} s"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--wheel", help="the sbibm wheel: pip download --no-deps sbibm==1.1.0")
    parser.add_argument("--out", default="sbibm.jsonl")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--simulations", default="1000,10000,100000")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--members", type=int, default=None, help="size of an ensemble")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        table(options.out)
        return
    references = References(options.wheel or ".")
    path = Path(options.out)
    done = set()
    if path.exists():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        done = {tuple(r[k] for k in ("task", "method", "n", "seed", "members")) for r in lines}
    for n in map(int, options.simulations.split(",")):
        for name in options.tasks.split(","):
            for method in options.methods.split(","):
                for seed in range(options.seeds):
                    case = (name, method, n, seed, options.members)
                    if case in done:
                        continue
                    print(*case, "...", end=" ", flush=True)
                    result = run(name, method, n, seed, references, options.members)
                    keys = ("task", "method", "n", "seed", "members")
                    with path.open("a") as file:
                        file.write(json.dumps(dict(zip(keys, case, strict=True)) | result) + "\n")
                    print(f"C2ST {np.mean(result['c2st']):.3f}", result, flush=True)


if __name__ == "__main__":
    main()
