"""A trained model outside the benchmark: load it, give it some modalities, generate the others, publish it."""
