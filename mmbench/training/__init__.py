"""One training run: its loop, schedule, gradients, checkpoints and processes."""
