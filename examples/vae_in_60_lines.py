"""A variational autoencoder, whole: network, loss, training, new digits in vae.png.

    python examples/vae_in_60_lines.py [EPOCHS]    on MNIST, or synthetic digits if it is not there
"""
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from scratchnet import losses, nn, no_grad, ops, optim
from scratchnet.runs import data, figures


class VAE(nn.Module):  # Kingma & Welling 2013 (1312.6114); docs/06-vae.md derives every line
    def __init__(self, pixels, hidden, z_dim, rng):
        self.hidden = nn.Linear(pixels, hidden, rng)
        self.posterior = nn.Linear(hidden, 2 * z_dim, rng)  # mu and log_var
        self.hidden_again = nn.Linear(z_dim, hidden, rng)
        self.logits = nn.Linear(hidden, pixels, rng)

    def encode(self, x):
        return ops.split(self.posterior(ops.relu(self.hidden(x))), 2, axis=-1)

    def decode(self, z):
        return self.logits(ops.relu(self.hidden_again(z)))

    def loss(self, x, eps):
        """-ELBO in nats: what the decoder says of x from a draw of z, and what the draw costs."""
        mu, log_var = self.encode(x)
        z = mu + ops.exp(log_var / 2) * eps  # the reparameterisation trick
        reconstruction = losses.bce_with_logits(self.decode(z), x, "batchmean")
        return reconstruction + losses.gaussian_kl(mu, log_var, "batchmean")


def train(images, epochs=3, z_dim=20):
    rng = np.random.default_rng(0)
    model = VAE(images.shape[1], 400, z_dim, rng)
    adam = optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        total = 0.0
        for batch in np.array_split(rng.permutation(len(images)), len(images) // 128):
            x = images[batch]
            loss = model.loss(x, rng.standard_normal((len(x), z_dim), dtype=np.float32))
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item() * len(x)
        print(f"epoch {epoch + 1}: -ELBO {total / len(images):.1f} nats")
    return model, rng


try:
    digits = data.load("mnist").train_images
except data.MissingDataError:
    digits = data.load("synthetic").train_images
model, rng = train(digits.reshape(-1, 784) / np.float32(255), *map(int, sys.argv[1:]))
with no_grad():
    new = ops.sigmoid(model.decode(rng.standard_normal((64, 20), dtype=np.float32))).numpy()
figures.grid(new.reshape(-1, 28, 28, 1), 16, "New digits of a VAE").savefig("vae.png")
