"""Files between the stages: arrays, JSON and weights, written atomically, checked when read, hashed and locked."""
