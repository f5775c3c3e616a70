"""What a profile takes on this machine: its jobs as Snakemake plans them, each at what was measured here."""
