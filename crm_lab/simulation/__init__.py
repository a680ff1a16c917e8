"""Shops with a known true effect, for demonstrations, tests and coverage studies."""
