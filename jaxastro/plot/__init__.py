"""Figures; matplotlib is imported when one is drawn."""

from .corner import corner

__all__ = ["corner"]
