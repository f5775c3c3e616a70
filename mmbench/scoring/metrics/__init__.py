"""Metrics as pure functions on arrays and tensors, one family a module; they read no file and load no weights."""
