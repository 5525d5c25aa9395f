"""The models in PyTorch, layer for layer, for benchmarks.compare and tests/test_parity.py."""

import torch
from torch import nn
from torch.nn import functional as F


class TorchVAE(nn.Module):
    """models.VAE with one hidden layer; parameters in the same order, weights transposed."""

    def __init__(self, input_dim, h_dim, z_dim):
        super().__init__()
        self.hidden = nn.Linear(input_dim, h_dim)
        self.posterior = nn.Linear(h_dim, 2 * z_dim)
        self.back = nn.Linear(z_dim, h_dim)
        self.pixels = nn.Linear(h_dim, input_dim)

    def loss(self, x, noise):
        """-ELBO: images (N, input_dim) and noise (N, z_dim) to a single number."""
        mu, log_var = self.posterior(F.relu(self.hidden(x))).chunk(2, dim=-1)
        z = mu + torch.exp(log_var / 2) * noise
        logits = self.pixels(F.relu(self.back(z)))
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum()
        return (reconstruction + kl) / len(x)
