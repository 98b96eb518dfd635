"""float64 by default, and JAX's strict promotion rules, before anything is traced."""

import os

os.environ.setdefault("JAX_ENABLE_X64", "1")

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
