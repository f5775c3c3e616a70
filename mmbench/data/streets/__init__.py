"""How toy_streets draws: a town, a street in it, light, and a camera, rasterised with the class of every pixel."""
