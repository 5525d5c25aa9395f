"""The models in PyTorch, layer for layer, for benchmarks.compare and tests/test_parity.py."""

import torch
from torch import nn
from torch.nn import functional as F


class TorchVAE(nn.Module):
    """models.VAE with one hidden layer; parameters in the same order, weights transposed."""

    def __init__(self, input_dim=784, h_dim=400, z_dim=20, num_classes=0, label_dim=10):
        super().__init__()
        D = label_dim if num_classes else 0
        self.hidden = nn.Linear(input_dim + D, h_dim)
        self.posterior = nn.Linear(h_dim, 2 * z_dim)
        self.back = nn.Linear(z_dim + D, h_dim)
        self.pixels = nn.Linear(h_dim, input_dim)
        self.labels = nn.ModuleList(nn.Embedding(num_classes, D) for _ in range(2) if D)

    def loss(self, x, noise, labels=None):
        """-ELBO: images (N, ...), noise (N, z_dim) and, of a model that is told the class, labels
        (N,) to a single number."""
        x = x.flatten(1)
        def beside(a, side):
            return torch.cat([a, self.labels[side](labels)], 1) if self.labels else a
        mu, log_var = self.posterior(F.relu(self.hidden(beside(x, 0)))).chunk(2, dim=-1)
        z = mu + torch.exp(log_var / 2) * noise
        logits = self.pixels(F.relu(self.back(beside(z, 1))))
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum()
        return (reconstruction + kl) / len(x)


class TorchVQVAE(nn.Module):
    """models.VQVAE, architecture "sonnet" with the EMA codebook, for images (N, 3, H, W)."""

    def __init__(self, K=512, D=64, c1=64, c2=128, hidden=32, blocks=2, beta=0.25, decay=0.99,
                 variance=0.06):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, c1, 4, 2, 1), nn.ReLU(), nn.Conv2d(c1, c2, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(c2, c2, 3, 1, 1), *[TorchResidualBlock(c2, hidden) for _ in range(blocks)],
            nn.ReLU(), nn.Conv2d(c2, D, 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(D, c2, 3, 1, 1), *[TorchResidualBlock(c2, hidden) for _ in range(blocks)],
            nn.ReLU(), nn.ConvTranspose2d(c2, c1, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(c1, 3, 4, 2, 1))
        self.beta, self.decay, self.variance = beta, decay, variance
        self.register_buffer("e", torch.randn(K, D))
        self.register_buffer("N", torch.ones(K))
        self.register_buffer("m", self.e.clone())

    def nearest(self, z):
        """Indices of the codes that are nearest to z (N, h, w, D), in a row."""
        rows = z.detach().reshape(-1, z.shape[-1])
        return (self.e.square().sum(1) - 2 * rows @ self.e.T).argmin(1)

    def loss(self, x, noise=None):
        """Squared error + commitment term, and the EMA update that goes with it."""
        z = self.encoder(x - 0.5).permute(0, 2, 3, 1)
        rows, indices = z.detach().reshape(-1, z.shape[-1]), self.nearest(z)
        e = self.e[indices].view(z.shape)
        z_q = z + (e - z).detach()
        x_hat = self.decoder(z_q.permute(0, 3, 1, 2)) + 0.5
        with torch.no_grad():
            one_hot = F.one_hot(indices, len(self.e)).to(rows.dtype)
            self.N.mul_(self.decay).add_(one_hot.sum(0), alpha=1 - self.decay)
            # not alpha=...: torch.compile 2.13 drops it (like pytorch/pytorch, issue 167313)
            self.m.mul_(self.decay).add_(one_hot.T @ rows * (1 - self.decay))
            total = self.N.sum()
            smoothed = (self.N + 1e-5) / (total + len(self.e) * 1e-5) * total
            self.e.copy_(self.m / smoothed[:, None])
        return (x_hat - x).square().mean() / self.variance + self.beta * (z - e).square().mean()


class TorchResidualBlock(nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.narrow = nn.Conv2d(channels, hidden, 3, 1, 1)
        self.widen = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        return x + self.widen(F.relu(self.narrow(F.relu(x))))


class TorchConvVAE(nn.Module):
    """models.ConvVAE in the sizes of train_mnist.py, for images (N, 1, 28, 28)."""

    def __init__(self, c1=32, c2=64, h_dim=256, z_dim=20):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, c1, 3, 2, 1), nn.ReLU(), nn.Conv2d(c1, c2, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(c2 * 49, h_dim), nn.ReLU(), nn.Linear(h_dim, 2 * z_dim))
        self.decoder = nn.Sequential(
            nn.Linear(z_dim, h_dim), nn.ReLU(), nn.Linear(h_dim, c2 * 49), nn.ReLU(),
            nn.Unflatten(1, (c2, 7, 7)), nn.ConvTranspose2d(c2, c2, 3, 2, 1, 1), nn.ReLU(),
            nn.ConvTranspose2d(c2, c1, 3, 2, 1, 1), nn.ReLU(), nn.Conv2d(c1, 1, 3, 1, 1))

    def loss(self, x, noise):
        mu, log_var = self.encoder(x).chunk(2, dim=-1)
        logits = self.decoder(mu + torch.exp(log_var / 2) * noise)
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum()
        return (reconstruction + kl) / len(x)


class MaskedConv(nn.Conv2d):
    """A convolution whose weights are multiplied by a mask, as PixelCNNs in PyTorch do it."""

    def __init__(self, n_in, n_out, mask, dilation=1):
        kernel = len(mask), len(mask[0])
        super().__init__(n_in, n_out, kernel, dilation=dilation,
                         padding=(kernel[0] // 2 * dilation, kernel[1] // 2 * dilation))
        self.register_buffer("mask", torch.as_tensor(mask, dtype=torch.float32))

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding,
                        dilation=self.dilation)


def mask(kind, height, width):
    """Taps before the middle in reading order, and the middle too if kind is "B"."""
    before = torch.arange(height * width) < height * width // 2 + (kind == "B")
    return before.reshape(height, width)


class TorchPixelCNN(nn.Module):
    """models.PixelCNN for binary images (N, 1, H, W), or with residual=False a stack of 3x3 B."""

    def __init__(self, features=32, blocks=15, head=32, residual=True):
        super().__init__()
        half = features // 2
        self.first = MaskedConv(1, features, mask("A", 7, 7))
        self.blocks = nn.ModuleList(nn.Sequential(
            nn.ReLU(), nn.Conv2d(features, half, 1), nn.ReLU(),
            MaskedConv(half, half, mask("B", 3, 3)), nn.ReLU(), nn.Conv2d(half, features, 1))
            if residual else nn.Sequential(nn.ReLU(),
                                           MaskedConv(features, features, mask("B", 3, 3)))
            for _ in range(blocks))
        self.head = nn.Conv2d(features, head, 1)
        self.logits_of = nn.Conv2d(head, 1, 1)
        self.residual = residual

    def forward(self, x):
        h = self.first(2 * x - 1)
        for block in self.blocks:
            h = h + block(h) if self.residual else block(h)
        return self.logits_of(F.relu(self.head(F.relu(h))))

    def loss(self, x, noise=None):
        return F.binary_cross_entropy_with_logits(self(x), x, reduction="sum") / len(x)


class TorchGated(nn.Module):
    """models.GatedPixelCNN for binary images (N, 1, H, W); with levels K above 2 for codes, which
    are looked up in an embedding."""

    def __init__(self, features=32, blocks=7, head=32, levels=2, embedding_dim=0, dilations=(1,)):
        super().__init__()
        n_in = embedding_dim or 1
        self.embedding = nn.Embedding(levels, embedding_dim) if embedding_dim else None
        self.first_v = MaskedConv(n_in, features, torch.arange(7)[:, None].repeat(1, 7) < 3)
        self.first = MaskedConv(n_in, features, mask("A", 1, 7))
        self.blocks = nn.ModuleList(TorchGatedBlock(features, dilations[k % len(dilations)])
                                    for k in range(blocks))
        self.head = nn.Conv2d(features, head, 1)
        self.logits_of = nn.Conv2d(head, levels if embedding_dim else 1, 1)

    def forward(self, x):
        x = self.embedding(x[:, 0]).permute(0, 3, 1, 2) if self.embedding else 2 * x - 1
        v, h = self.first_v(x), self.first(x)
        for block in self.blocks:
            v, h = block(v, h)
        return self.logits_of(F.relu(self.head(F.relu(h))))

    def loss(self, x, noise=None):
        if self.embedding:
            return F.cross_entropy(self(x), x[:, 0], reduction="sum") / len(x)
        return F.binary_cross_entropy_with_logits(self(x), x, reduction="sum") / len(x)


class TorchGatedBlock(nn.Module):
    def __init__(self, features, dilation=1):
        super().__init__()
        self.v = MaskedConv(features, 2 * features, torch.arange(3)[:, None].repeat(1, 3) < 2,
                            dilation)
        self.link = nn.Conv2d(2 * features, 2 * features, 1)
        self.h = MaskedConv(features, 2 * features, mask("B", 1, 3), dilation)
        self.out = nn.Conv2d(features, features, 1)

    def forward(self, v, h):
        def gate(y):
            a, b = y.chunk(2, dim=1)
            return torch.tanh(a) * torch.sigmoid(b)
        v = self.v(v)
        return gate(v), h + self.out(gate(self.h(h) + self.link(v)))
