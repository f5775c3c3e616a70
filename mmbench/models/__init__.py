"""Everything that is trained: MT-Diffusion, the diffusion process, and the networks. Baselines build on these parts."""
