"""The counters that other tests rely on do count."""

import jax
import jax.numpy as jnp
import pytest

pytestmark = pytest.mark.smoke


def test_trace_counter_sees_a_retrace(trace_counter):
    counted = trace_counter(lambda x: x + 1)
    jitted = jax.jit(counted)
    jitted(jnp.zeros(2))
    jitted(jnp.ones(2))
    assert counted.count == 1
    jitted(jnp.zeros(3))
    assert counted.count == 2


def test_compilations_sees_a_new_program_and_no_repeated_one(compilations):
    jitted = jax.jit(lambda x: jnp.sin(x) * 3.125)
    one, two, other = jnp.zeros(5), jnp.ones(5), jnp.zeros(6)
    with compilations() as first:
        jitted(one)
    with compilations() as second:
        jitted(two)
    with compilations() as third:
        jitted(other)
    assert (first.count, second.count, third.count) == (1, 0, 1)
