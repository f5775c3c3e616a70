"""The multimodal diffusion process: schedules, model, loss and samplers. Plain DDPM is the case without modalities."""
