"""What a simulator is, and what it may say beyond one draw."""

import abc

import equinox as eqx
import jax


class AbstractSimulator(eqx.Module):
    """One draw of an observation from parameters: all that simulation-based inference needs.

    A subclass may also define `validate_observation(observation)`, which raises ValueError;
    `Model.condition` calls it before anything is compiled.
    """

    @abc.abstractmethod
    def simulate(self, key, params):
        """One unbatched draw: a typed key and a dict of parameters -> a pytree of arrays."""


class AbstractTractableSimulator(AbstractSimulator):
    """A simulator whose likelihood can be evaluated."""

    @abc.abstractmethod
    def log_likelihood(self, params, observation):
        """log p(observation | params): a scalar; NaN or -inf where the simulation failed."""


class AbstractForwardSimulator(AbstractSimulator):
    r"""A simulator written as a forward model with latent draws and a noise model.

    .. math:: z \sim p(z), \quad y = f(\theta, z), \quad x \sim p(x | y)

    The latents do not depend on the parameters (reparametrise where they would), so that the
    joint score :math:`\nabla_\theta \log p(x | \theta, z)` is what gradient-assisted
    simulation-based inference needs (Brehmer et al. 2020, PNAS 117, 5242).
    """

    @abc.abstractmethod
    def sample_latents(self, key):
        """A draw of the latents: a pytree, `None` for a deterministic forward model."""

    @abc.abstractmethod
    def forward(self, params, latents):
        """The prediction: a pytree of arrays."""

    @abc.abstractmethod
    def noise_log_prob(self, prediction, observation):
        """log p(observation | prediction): a scalar."""

    @abc.abstractmethod
    def sample_noise(self, key, prediction):
        """An observation drawn around the prediction."""

    def simulate(self, key, params):
        """Latents, prediction, noise: one observation."""
        latents_key, noise_key = jax.random.split(key)
        prediction = self.forward(params, self.sample_latents(latents_key))
        return self.sample_noise(noise_key, prediction)

    def log_likelihood(self, params, observation, latents=None):
        """log p(observation | params, latents): the likelihood at given latents."""
        return self.noise_log_prob(self.forward(params, latents), observation)

    def joint_score(self, params, latents, observation):
        """Gradient of log p(observation | params, latents) by the parameters: a dict."""
        return jax.grad(lambda p: self.log_likelihood(p, observation, latents))(params)
