"""crm-lab: a Jupyter-centred workbench for CRM campaign experiments."""

__version__ = "0.1.0"
