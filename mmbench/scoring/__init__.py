"""How answers are scored: metrics as pure functions, what the scores of several experiments share, and statistics."""
