"""The control group, experiments and their analysis: the heart of the workbench."""
