"""Named parameters with distributions, units and labels."""

import contextlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions.transforms import biject_to

from .fixed_order import FixedOrder
from .truncation import truncate


@contextlib.contextmanager
def _relaxed_promotion():
    # NumPyro mixes ranks and weak types freely; the user's strict setting is for the user's code.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _cast(distribution, dtype):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), distribution)


def _float_dtype(value):
    value = jnp.asarray(value)
    return value.dtype if jnp.issubdtype(value.dtype, jnp.floating) else jnp.result_type(float)


def _is_point_mass(distribution):
    while distribution is not None:
        if isinstance(distribution, dist.Delta):
            return True
        distribution = getattr(distribution, "base_dist", None)
    return False


class Parameter(eqx.Module):
    """One parameter: its prior distribution, its unit and its label in figures.

    `distribution` is a continuous NumPyro distribution; batch dimensions are taken as part of
    the parameter's shape. `unit` is a string in the notation of astropy. `label` may hold LaTeX.

    >>> import numpyro.distributions as dist
    >>> Parameter(dist.Uniform(8.0, 14.0), unit="kpc", label=r"$r_s$").unit
    'kpc'
    """

    distribution: dist.Distribution
    unit: str = eqx.field(static=True, default="")
    label: str | None = eqx.field(static=True, default=None)


class Prior(eqx.Module):
    r"""Independent named priors: an immutable pytree of NumPyro distributions.

    With :math:`\theta = T(u)` the map from :math:`u \in R^D` onto the support (NumPyro's
    `biject_to`, one parameter after the other in the order given), the density of `u` is

    .. math:: \log p(u) = \log p(T(u)) + \log|\det \partial T / \partial u|.

    Raises ValueError for a discrete, a point-mass (`Delta`) or an improper distribution.

    >>> import jax, numpyro.distributions as dist
    >>> prior = Prior(
    ...     mass=Parameter(dist.LogNormal(0.0, 1.0), unit="Msun"),
    ...     q=Parameter(dist.Uniform(0.7, 1.3)),
    ... )
    >>> prior.names, prior.dim
    (('mass', 'q'), 2)
    >>> params = prior.sample(jax.random.key(0))
    >>> u = prior.to_unconstrained(params)
    >>> u.shape, sorted(prior.from_unconstrained(u)[0])
    ((2,), ['mass', 'q'])
    """

    fields: FixedOrder
    names: tuple[str, ...] = eqx.field(static=True)
    unit_strings: tuple[str, ...] = eqx.field(static=True)
    label_strings: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, parameters=None, /, **more):
        named = {**(parameters or {}), **more}
        if not named:
            raise ValueError("a Prior needs at least one parameter: Prior(name=Parameter(...)).")
        for name, parameter in named.items():
            if not isinstance(parameter, Parameter):
                raise ValueError(
                    f"prior parameter {name!r} is a {type(parameter).__name__}; wrap the "
                    "distribution: Parameter(distribution, unit=...)."
                )
        self.names = tuple(named)
        self.fields = FixedOrder(tuple(_checked(name, p.distribution) for name, p in named.items()))
        self.unit_strings = tuple(p.unit for p in named.values())
        self.label_strings = tuple(
            name if p.label is None else p.label for name, p in named.items()
        )

    @property
    def distributions(self):
        """One NumPyro distribution a parameter, in the order of `names`."""
        return self.fields.tree

    @property
    def units(self):
        """Name -> unit string."""
        return dict(zip(self.names, self.unit_strings, strict=True))

    @property
    def labels(self):
        """Name -> label string."""
        return dict(zip(self.names, self.label_strings, strict=True))

    @property
    def shapes(self):
        """Name -> shape of the parameter."""
        pairs = zip(self.names, self.distributions, strict=True)
        return {name: tuple(d.event_shape) for name, d in pairs}

    @property
    def _free_shapes(self):
        return [
            tuple(biject_to(d.support).inverse_shape(tuple(d.event_shape)))
            for d in self.distributions
        ]

    @property
    def dim(self):
        """Number of unconstrained coordinates D."""
        return sum(int(np.prod(shape)) for shape in self._free_shapes)

    def sample(self, key, shape=()):
        """One draw: a dict of arrays, each of shape `shape` + the parameter's shape."""
        keys = jax.random.split(key, len(self.names))
        with _relaxed_promotion():
            return {
                name: d.sample(k, shape)
                for name, d, k in zip(self.names, self.distributions, keys, strict=True)
            }

    def log_prob(self, params):
        """Log density of one set of parameters: a scalar, -inf outside the support, never NaN.

        Its gradient is finite everywhere, and zero for a parameter outside its support.
        """
        total = 0.0
        with _relaxed_promotion():
            for name, d in zip(self.names, self.distributions, strict=True):
                dtype = _float_dtype(params[name])
                value, d = jnp.asarray(params[name], dtype), _cast(d, dtype)
                inside = d.support(value) & jnp.all(jnp.isfinite(value))
                # Evaluate at a point of the support instead, so that no NaN enters a gradient.
                safe = jnp.where(inside, value, d.support.feasible_like(value))
                total = total + jnp.where(inside, d.log_prob(safe), -jnp.inf)
        return total

    def to_unconstrained(self, params):
        """Parameters -> the flat unconstrained vector u of shape (D,)."""
        parts = []
        with _relaxed_promotion():
            for name, d in zip(self.names, self.distributions, strict=True):
                dtype = _float_dtype(params[name])
                value = jnp.asarray(params[name], dtype)
                parts.append(jnp.ravel(biject_to(_cast(d, dtype).support).inv(value)))
            return jnp.concatenate(parts)

    def from_unconstrained(self, u):
        """u of shape (D,) -> (parameters, log |det d parameters / d u|)."""
        params, log_det, start = {}, 0.0, 0
        with _relaxed_promotion():
            for name, d, shape in zip(
                self.names, self.distributions, self._free_shapes, strict=True
            ):
                size = int(np.prod(shape))
                free = u[start : start + size].reshape(shape)
                start += size
                transform = biject_to(_cast(d, u.dtype).support)
                params[name] = transform(free)
                log_det = log_det + jnp.sum(transform.log_abs_det_jacobian(free, params[name]))
        return params, log_det

    def truncate(self, bounds):
        """A new Prior with some scalar parameters restricted: `{name: (low, high)}`.

        Raises ValueError for an unknown name, an empty interval, a vector-valued parameter, or a
        distribution without `cdf` and `icdf`.
        """
        unknown = sorted(set(bounds) - set(self.names))
        if unknown:
            raise ValueError(f"truncate: unknown parameters {unknown}; known: {list(self.names)}.")
        parameters = {}
        for name, d in zip(self.names, self.distributions, strict=True):
            if name in bounds:
                low, high = (float(b) for b in bounds[name])
                with _relaxed_promotion():
                    d = truncate(name, d, low, high)
            parameters[name] = Parameter(d, self.units[name], self.labels[name])
        return Prior(parameters)

    def validate(self, params):
        """Raise one ValueError that names every missing, unknown or impossible parameter.

        Traced values are skipped: under `jit` only names and shapes are checked.
        """
        problems = [
            f"{name!r} is unknown; known: {', '.join(self.names)}"
            for name in params
            if name not in self.names
        ]
        for name, d in zip(self.names, self.distributions, strict=True):
            if name not in params:
                problems.append(f"{name!r} is missing; give it a value of shape {d.event_shape}")
                continue
            value = params[name]
            if jnp.shape(value) != tuple(d.event_shape):
                problems.append(
                    f"{name!r} has shape {jnp.shape(value)}; it must be {tuple(d.event_shape)}"
                )
            elif not isinstance(value, jax.core.Tracer):
                problems.extend(_value_problems(name, np.asarray(value), d, self.units[name]))
        if problems:
            raise ValueError("bad parameters: " + "; ".join(problems) + ".")


def _value_problems(name, value, distribution, unit):
    if not np.all(np.isfinite(value)):
        return [f"{name!r} = {value} is not finite; give a finite value"]
    with _relaxed_promotion():
        inside = np.all(distribution.support(jnp.asarray(value, _float_dtype(value))))
        if inside:
            return []
        support = jax.tree.map(lambda leaf: np.round(np.asarray(leaf), 6), distribution.support)
    return [f"{name!r} = {value} {unit} lies outside its support {support}; move it inside"]


def _checked(name, distribution):
    if not isinstance(distribution, dist.Distribution):
        raise ValueError(f"prior parameter {name!r}: {distribution!r} is no NumPyro distribution.")
    if distribution.support is not None and distribution.support.is_discrete:
        raise ValueError(
            f"prior parameter {name!r}: {type(distribution).__name__} is discrete; gradients need "
            "a continuous prior. Marginalise it, or run one model per value."
        )
    if _is_point_mass(distribution):
        raise ValueError(
            f"prior parameter {name!r} is a point mass; give the simulator a constant instead."
        )
    if distribution.batch_shape:
        distribution = distribution.to_event(len(distribution.batch_shape))
    # Python numbers in a distribution would be static: each new value would compile anew.
    distribution = _cast(distribution, jnp.result_type(float))
    try:
        with _relaxed_promotion():
            jax.eval_shape(distribution.sample, jax.random.key(0))
            biject_to(distribution.support)
    except NotImplementedError as error:
        raise ValueError(
            f"prior parameter {name!r}: {type(distribution).__name__} cannot be sampled or mapped "
            "to unconstrained space; choose a proper continuous distribution."
        ) from error
    return distribution
