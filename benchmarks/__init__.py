"""Benchmarks, each figure beside its peer; ``benchmarks.harness`` says how they measure."""
