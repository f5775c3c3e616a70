"""Joint: image, mask, label, embedding, depth and masked image in one network, any of them from any others."""
