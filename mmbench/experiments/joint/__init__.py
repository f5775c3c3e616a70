"""Joint: image, mask, label, embedding, depth and masked image in one network, which generates any from any others."""
