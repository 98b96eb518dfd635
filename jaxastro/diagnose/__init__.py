"""Convergence and calibration."""
