"""Files between the stages: arrays, JSON and weights, written atomically, read without trust, hashed and locked."""
