"""What the jobs say of their progress, keep between runs, and write."""

import json
import sys
import time


class Clock:
    """Says what was done, with the seconds since the start of the process's work."""

    def __init__(self):
        self.began = time.monotonic()

    def say(self, what):
        print(f"[{time.monotonic() - self.began:6.1f} s] {what}", file=sys.stderr, flush=True)


def keep(folder, settings, found, more=None):
    """Keep a `Laplace` in `folder` for a later run with the same settings, with more JSON."""
    from jaxastro.core import checkpoint

    tree = {"u": found.u, "covariance": found.covariance, "n_repaired": found.n_repaired}
    checkpoint.save(folder, tree, settings | (more or {}))


def kept(folder, settings, dim=None):
    """The `Laplace` and the JSON that `keep` left in `folder`; None where it left none.

    Raises ValueError where it was with other settings, or is not of `dim` parameters.
    """
    from jaxastro.core import checkpoint
    from jaxastro.infer import Laplace

    if not checkpoint.exists(folder):
        return None
    arrays, metadata = checkpoint.load(folder)
    if {name: metadata.get(name) for name in settings} != json.loads(json.dumps(settings)):
        raise ValueError(
            f"{folder} is of a run with other data or settings; choose another --out, or --fresh "
            "to discard it."
        )
    u, covariance, n_repaired = (arrays[f"['{n}']"] for n in ("u", "covariance", "n_repaired"))
    if dim is not None and u.shape != (dim,):
        raise ValueError(
            f"{folder} has {u.size} parameters, the model {dim}; choose another --out, or --fresh "
            "to discard it."
        )
    return Laplace(u, covariance, int(n_repaired)), metadata


def write_summary(out, text, table, verdict, **more):
    """`summary.txt`, and `summary.json` with the table, the verdict and `more`."""
    (out / "summary.txt").write_text(text + "\n")
    summary = {
        "parameters": table.rows,
        "units": table.units,
        "divergences": table.divergences,
        "converged": bool(verdict),
        "reasons": list(verdict.reasons),
        **more,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1, default=float) + "\n")


def save_figure(figure, path, dpi):
    """As PDF, and as PNG of `dpi` dots an inch."""
    figure.savefig(path.with_suffix(".pdf"))
    figure.savefig(path.with_suffix(".png"), dpi=dpi)
