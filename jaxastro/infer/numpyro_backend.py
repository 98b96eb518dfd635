"""NUTS by NumPyro on the same target."""

import jax
import jax.numpy as jnp
import numpy as np

from .gradient import with_gradient

_FIELDS = ("accept_prob", "adapt_state.step_size", "num_steps", "diverging", "energy")


def run_numpyro(
    key, target, u, inverse_mass, *, n_warmup, n_draws, dense, target_accept, max_treedepth, mode
):
    """Draws (chain, draw, D) and sample_stats, through `numpyro.infer.NUTS(potential_fn=...)`."""
    from numpyro.infer import MCMC, NUTS

    density = with_gradient(target.unguarded, target.dim, mode)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        kernel = NUTS(
            potential_fn=lambda x: -density(x),
            dense_mass=dense,
            target_accept_prob=target_accept,
            max_tree_depth=max_treedepth,
            inverse_mass_matrix=None if inverse_mass is None else jnp.asarray(inverse_mass),
        )
        # Sequential: one compilation serves all chains, and none waits for another's tree.
        runner = MCMC(
            kernel,
            num_warmup=n_warmup,
            num_samples=n_draws,
            num_chains=len(u),
            chain_method="sequential",
            progress_bar=False,
        )
        start = jnp.asarray(u) if len(u) > 1 else jnp.asarray(u[0])
        runner.run(key, init_params=start, extra_fields=(*_FIELDS, "potential_energy"))
        draws = np.asarray(runner.get_samples(group_by_chain=True))
        extra = {k: np.asarray(v) for k, v in runner.get_extra_fields(group_by_chain=True).items()}
    return draws, {
        "lp": -extra["potential_energy"],
        "acceptance_rate": extra["accept_prob"],
        "step_size": extra["adapt_state.step_size"],
        "tree_depth": np.ceil(np.log2(extra["num_steps"] + 1)).astype(np.int32),
        "n_steps": extra["num_steps"].astype(np.int32),
        "diverging": extra["diverging"],
        "energy": extra["energy"],
    }
