"""Plots: a result in, axes out. No queries, no show, no global style."""
