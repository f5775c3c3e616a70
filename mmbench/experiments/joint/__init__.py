"""Joint: image, mask, label, embedding and masked image in one network, any of them from any others."""
