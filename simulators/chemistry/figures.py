"""Figures of networks; matplotlib is imported when one is drawn."""

import numpy as np

from simulators.chemistry.species import pseudo


def abundance_figure(history, names, observed=None, age=None):
    """Abundances against time on logarithmic axes.

    Args:
        history: a `History` of one cell.
        names: species to draw.
        observed: `ObservedAbundances` to draw at `age`.
        age: [yr].

    Returns:
        A Matplotlib figure, not attached to any window.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    axis = figure.subplots()
    times = np.asarray(history.times)
    top = 0.0
    for i, name in enumerate(names):
        y = np.asarray(history[name])
        top = max(top, float(y.max()))
        axis.loglog(times, np.maximum(y, 1e-30), color=f"C{i % 10}", lw=1.2, label=label(name))
    if observed is not None:
        for name, x, sigma, upper in zip(
            observed.names, observed.log10_x, observed.sigma, observed.upper, strict=True
        ):
            color = f"C{list(names).index(name) % 10}" if name in names else "0.4"
            value, low = 10.0 ** float(x), 10.0 ** float(x - sigma)
            error = [[value - low], [10.0 ** float(x + sigma) - value]]
            axis.errorbar(
                age, value, [[0.6 * value], [0.0]] if upper else error, uplims=bool(upper),
                fmt="v" if upper else "o", ms=4, color=color, capsize=2,
            )  # fmt: skip
    axis.set(xlim=(times[0], times[-1]), ylim=(1e-13, 3.0 * top))
    axis.set(xlabel="time [yr]", ylabel=r"$n(X) / n_{\rm H}$")
    axis.legend(fontsize=8, ncols=2, frameon=False)
    return figure


def sensitivity_figure(name, ranked):
    """d ln x / d ln k of the reactions that matter most for a species, as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 0.5 + 0.3 * len(ranked)), layout="constrained")
    axis = figure.subplots()
    values = [value for _, value in ranked]
    places = np.arange(len(ranked))[::-1]
    axis.barh(places, values, color=["C0" if v > 0 else "C3" for v in values])
    axis.set_yticks(places, [_reaction(reaction) for reaction, _ in ranked], fontsize=8)
    axis.axvline(0.0, color="black", lw=0.6)
    axis.set(xlabel=rf"$d \ln x / d \ln k$ of {label(name)}")
    return figure


def label(name):
    """A species in the type of a formula.

    >>> label("H2O+"), label("e-")
    ('$\\\\mathrm{H_{2}O^{+}}$', '$\\\\mathrm{e^{-}}$')
    """
    body = name.rstrip("+-")
    charge = name[len(body) :]
    text, digits = "", ""
    for character in [*body, ""]:
        if character.isdigit():
            digits += character
            continue
        text += f"_{{{digits}}}" if digits else ""
        text, digits = text + character, ""
    return rf"$\mathrm{{{text}{f'^{{{charge}}}' if charge else ''}}}$"


def _reaction(reaction):
    left, right = (
        " + ".join(map(_written, side.split(" + "))) for side in str(reaction).split(" -> ")
    )
    return rf"{left} $\rightarrow$ {right}"


def _written(name):
    return name if pseudo(name) else label(name)
