"""The scoring of answers: metrics as pure functions, common scores of several experiments, and statistics."""
