"""Colours of every plot: few, the same everywhere, told apart by colour-blind readers."""

CONTROL = "#7a7a7a"
"""The control group is always grey."""
TREATED = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
"""Arms in order (Okabe and Ito 2008)."""
ZERO = "#222222"
PALE = "#cfd8dc"
LABEL_GROUND = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
"""What a label stands on where it may meet a line."""
