"""41. The whole loss of a VAE (write)

From images to the loss, which is -ELBO where beta is 1, in five lines: the posterior's mu and
log_var, a draw z, what the decoder says of x from that z, and what the draw costs, times beta.

    loss = -log p(x|z) + beta KL(q(z|x) || p(z)),    z = mu + sigma noise

model: a VAE with model.encode(x) -> mu, log_var; model.decode(z) -> output;
model.reconstruction_loss(output, x) -> -log p(x|z). x: (n, pixels); noise: (n, z_dim); beta: a
number. losses.gaussian_kl(mu, log_var) is the KL. Returns a Tensor, one number.
Read docs/06-vae.md, (6.2).
"""

from models.vae import reparameterise
from scratchnet import losses


def loss(model, x, noise, beta):
    raise NotImplementedError
