"""The schedule: reports made by themselves, from one file that says which and when."""
