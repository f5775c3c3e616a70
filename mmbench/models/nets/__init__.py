"""Networks shared by the multitask model and the baselines."""
