"""One training: its loop, schedule, gradients, checkpoints and processes."""
