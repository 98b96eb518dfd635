"""An interrupted run resumes, and gives the very draws of an uninterrupted one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import Model, Parameter, Prior, checkpoint
from jaxastro.infer import Interrupted, nuts
from tests.infer.resumable_run import run
from tests.infer.targets import Coin


@pytest.fixture(scope="module")
def whole():
    return {method: run(chain_method=method) for method in ("threads", "vectorized")}


def same_bits(a, b):
    for mine, theirs in ((a.draws, b.draws), (a.sample_stats, b.sample_stats)):
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


def stop_after(steps, number):
    """A progress function that sends this process a signal once so many steps are done."""

    def progress(p):
        if p.done >= steps and not progress.sent:
            progress.sent = True
            os.kill(os.getpid(), number)

    progress.sent = False
    return progress


@pytest.mark.parametrize("method", ["threads", "vectorized"])
@pytest.mark.parametrize(
    ("number", "steps"),
    [(signal.SIGTERM, 100), (signal.SIGINT, 300)],
    ids=["SIGTERM in warm-up", "Ctrl-C in sampling"],
)
def test_signal_saves_and_resumes_exactly(tmp_path, whole, method, number, steps):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="the same call with the same checkpoint") as caught:
        run(tmp_path, chain_method=method, progress=stop_after(steps, number))
    assert signal.Signals(number).name in str(caught.value) and str(tmp_path) in str(caught.value)
    assert signal.getsignal(number) is before
    state, _ = checkpoint.load(tmp_path)
    assert 0 < state["['done']"].sum() < 510
    same_bits(run(tmp_path, chain_method=method), whole[method])


def test_resume_with_other_segments_gives_the_same_draws(tmp_path, whole):
    with pytest.raises(Interrupted):
        run(tmp_path, every=7, progress=stop_after(150, signal.SIGTERM))
    same_bits(run(tmp_path, every=20), whole["threads"])


def test_finished_run_is_returned_from_its_checkpoint(tmp_path, whole):
    same_bits(run(tmp_path), whole["threads"])
    calls = []
    same_bits(run(tmp_path, progress=calls.append), whole["threads"])
    assert calls == []


def test_without_checkpoint_the_message_says_nothing_was_saved():
    with pytest.raises(Interrupted, match="nothing was saved"):
        run(progress=stop_after(100, signal.SIGTERM))


def test_killed_process_resumes_from_a_truncated_newest_checkpoint(tmp_path, whole):
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "JAX_ENABLE_X64": "1" if jax.config.jax_enable_x64 else "0",
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.infer.resumable_run", str(tmp_path)],
        cwd=root,
        env=environment,
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "state-00000003.npz").exists():
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    newest = max(tmp_path.glob("state-*.npz"))
    newest.write_bytes(newest.read_bytes()[:-2000])
    with pytest.warns(UserWarning, match="is damaged"):
        resumed = run(tmp_path)
    same_bits(resumed, whole["threads"])


def test_checkpoint_of_another_run_is_refused_by_name(tmp_path):
    run(tmp_path)
    for change, name in (
        ({"seed": 1}, "key"),
        ({"observation": 0.31}, "observation"),
        ({"n_draws": 120}, "n_draws: saved 110, now 120"),
        ({"gradient": "reverse"}, "mode"),
    ):
        with pytest.raises(ValueError, match=f"belongs to another run.*{name}"):
            run(tmp_path, **change)
    assert run(tmp_path, n_draws=120, resume=False).n_draws == 120


def test_static_choices_of_a_simulator_belong_to_the_run(tmp_path):
    def sample(n):
        prior = Prior(p=Parameter(dist.Uniform(0.0, 1.0)))
        target = Model(prior, Coin(n)).condition(jnp.asarray(3.0))
        nuts(jax.random.key(0), target, n_chains=1, n_warmup=5, n_draws=5, checkpoint=tmp_path)

    sample(10)
    sample(10)
    with pytest.raises(ValueError, match="simulator: saved Coin"):
        sample(11)


def test_progress_counts_every_step():
    seen = []
    run(progress=seen.append)
    assert seen[-1].done == seen[-1].total == 3 * 170
    assert seen[0].warming_up and not seen[-1].warming_up
    assert [p.done for p in seen] == sorted(p.done for p in seen)
