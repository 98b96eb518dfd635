"""Parameters of physics modules: strongly typed arrays, checked where their values are known."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def as_float(value) -> Float[Array, "..."]:
    """Turn a number or array into a strongly typed floating array; a converter for fields.

    Floating arrays keep their dtype. Integers and Python numbers get JAX's default float dtype, so
    that `NFW(1e12, 15)` and `NFW(jnp.asarray(1e12), jnp.asarray(15.0))` share one compiled program.

    Args:
        value: a Python number, NumPy or JAX array, or tracer.

    Raises:
        TypeError: if `value` is complex or no number at all.

    >>> as_float(3).dtype == as_float(3.0).dtype
    True
    """
    try:
        array = jnp.asarray(value)
    except TypeError as error:
        raise TypeError(f"as_float: expected a real number or array, got {value!r}") from error
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(f"as_float: expected a real number or array, got dtype {array.dtype}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array.astype(jnp.result_type(float))
    return array.astype(array.dtype)


def cast(x, *values):
    """The values in the dtype of the coordinate `x`: coordinates decide the precision."""
    return tuple(jnp.asarray(v).astype(x.dtype) for v in values)


def known(*values):
    """Whether all are arrays whose values can be looked at: no tracers, no placeholders."""
    return all(
        isinstance(v, np.ndarray | jax.Array) and not isinstance(v, jax.core.Tracer) for v in values
    )


def check(owner, *names, least=0.0, open_end=True, below=math.inf):
    """Refuse concrete parameters outside (least, below), [least, below) with `open_end` false.

    Tracers pass: their values are not known.

    Raises:
        ValueError: names the class, the argument, its value and the remedy.
    """
    for name in names:
        value = getattr(owner, name)
        if not known(value):
            continue
        array = np.asarray(value)
        inside = (array > least if open_end else array >= least) & (array < below)
        if not np.all(np.isfinite(array) & inside):
            bounds = [] if least == -math.inf else [f"{'above' if open_end else '>='} {least:g}"]
            bounds += [] if below == math.inf else [f"below {below:g}"]
            raise ValueError(
                f"{type(owner).__name__}: argument `{name}` = {array} is outside its support; "
                f"give {' and '.join(['finite values', *bounds])}."
            )


def check_finite(owner, *names):
    """Refuse concrete parameters that are not finite."""
    check(owner, *names, least=-math.inf)
