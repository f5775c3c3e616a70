"""Predicts the cost of a profile on this machine: the jobs that Snakemake plans, with the times measured here."""
