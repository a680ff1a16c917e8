"""``python -m crm_lab``: the command, for where it is not on the path."""

from crm_lab.cli import main

main()
