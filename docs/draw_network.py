"""Draws images/network.png: a digit on its way through a classifier and an autoencoder;
images/relu-network.png: what a network with ReLUs can be; images/activation-scale.png: a signal
through ten layers, and how they learn; images/overfitting.png: training and test loss on few
images; images/latent-sizes.png: the error over the size of the code, PCA's beside it. All are
trained here, on MNIST if it is there, else on synthetic digits.

    python docs/draw_network.py
"""

import numpy as np
from drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    VIOLET,
    digits,
    new_figure,
    plain,
    save,
    trained,
)
from matplotlib.ticker import NullFormatter, NullLocator

from models import Autoencoder
from scratchnet import Tensor, losses, nn, no_grad, ops, optim
from scratchnet.runs.figures import mosaic
from scratchnet.training import generator, to_batch

IMAGES, TEST = 12_000, 2000


def rows(images):
    return to_batch(images).reshape(-1, 784)


def train(net, x, labels, steps, seen=lambda step, loss: None, lr=1e-3, batch_size=100):
    """The loop of the chapter: `seen` is called before each step, and once at the end."""
    adam, order = optim.Adam(net.parameters(), lr=lr), np.arange(0)
    rng = generator(0, "order")
    for step in range(steps + 1):
        if len(order) < batch_size:
            order = rng.permutation(len(x))
        batch, order = order[:batch_size], order[batch_size:]
        loss = losses.softmax_cross_entropy(net(x[batch]), labels[batch])
        seen(step, loss.item())
        adam.zero_grad()
        loss.backward()
        adam.step()
    return net


# ---------------------------------------------------------------- the whole

def draw_whole(data):
    rng = generator(0, "weights")
    net = train(nn.mlp([784, 100, 10], "relu", rng), rows(data.train_images[:IMAGES]),
                data.train_labels, 500)
    auto = trained(Autoencoder(784, h_dim=100, z_dim=8, rng=rng), data.train_images[:IMAGES], 6)
    k = int(np.flatnonzero(data.test_labels == 4)[0])
    x = Tensor(rows(data.test_images[k:k + 1]))
    with no_grad():
        hidden = ops.relu(net.layers[0](x))
        logits = net.layers[2](hidden)
        first = auto.encoder(x)
        z = auto.code(first)
        second = auto.decoder(z)
        x_hat = auto.mean_image(z)
    figure = new_figure(11, 5.2, f"One test image ({data.title}) through two trained networks")
    panels = figure.subplots(2, 5)
    figure.get_layout_engine().set(wspace=0.1, hspace=0.1)

    def square(axes, values, title):
        side = round(values.size ** 0.5)
        axes.imshow(values.numpy().reshape(side, side), cmap="gray", vmin=0,
                    vmax=1 if side == 28 else None)
        label(axes, title)

    def bars(axes, values, title, names, colour):
        axes.barh(range(len(values)), values, color=colour, height=0.7)
        axes.axvline(0, color=INK, lw=0.8)
        axes.set_yticks(range(len(values)), names, fontsize=8)
        axes.invert_yaxis()
        axes.set_box_aspect(1)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.set_title(title, fontsize=9.5, color=INK)

    def label(axes, title):
        axes.set_title(title, fontsize=9.5, color=INK)
        axes.set(xticks=[], yticks=[])

    square(panels[0, 0], x, "784 pixels")
    square(panels[0, 1], hidden, "100 features, $h$")
    bars(panels[0, 2], logits.numpy()[0], "10 logits, $l$", range(10), BLUE)
    bars(panels[0, 3], ops.softmax(logits).numpy()[0], "10 probabilities, $p$", range(10), ORANGE)
    panels[0, 3].set_xlim(0, 1.02)
    panels[0, 4].axis("off")
    panels[0, 4].text(0, 0.5, "the classifier\n\n$h = \\mathrm{relu}(x W_1 + b_1)$\n"
                      "$l = h W_2 + b_2$\n$p = \\mathrm{softmax}(l)$\n\n"
                      "loss: $-\\log p$ of the label", fontsize=10, va="center", color=INK,
                      linespacing=1.5)
    square(panels[1, 0], x, "784 pixels, $x$")
    square(panels[1, 1], first, "100 features")
    bars(panels[1, 2], z.numpy()[0], "the code, $z$: 8 numbers", range(1, 9), GREEN)
    square(panels[1, 3], second, "100 features")
    square(panels[1, 4], x_hat, "784 pixels, $\\hat{x}$")
    for row in panels:
        for left, right in zip(row, row[1:], strict=False):
            if right.axison:
                left.text(1.07 if len(right.get_yticks()) else 1.12, 0.5, "\u2192", fontsize=20,
                          ha="center", va="center", color=RED, transform=left.transAxes)
    save(figure, "network.png", colours=64)


# ---------------------------------------------------------------- what it can be

def tent(x):
    return 2 * ops.relu(x) - 4 * ops.relu(x - 0.5)


def draw_relu():
    figure = new_figure(9.6, 3.5, "Straight pieces: what a network with ReLUs can be")
    units, tents, border = figure.subplots(1, 3)
    t = np.linspace(0, 2 * np.pi, 9)
    slopes = np.diff(np.sin(t)) / np.diff(t)
    x = np.linspace(0, 2 * np.pi, 400)
    each = np.maximum(x[:, None] - t[:-1], 0) * np.diff(slopes, prepend=0)
    for at in t[1:-1]:
        units.axvline(at, color=GREY, lw=0.7, ls=":")
    units.plot(x, each, color=BLUE, lw=0.9, alpha=0.65)
    units.plot([], [], color=BLUE, lw=0.9, label="the eight units, times their weights")
    units.plot(x, np.sin(x), color=ORANGE, lw=3, alpha=0.55, label="the sine")
    units.plot(x, each.sum(1), color=INK, lw=1.6, label="their sum")
    units.legend(frameon=False, fontsize=8.5, loc="lower left")
    plain(units, "one hidden layer of eight units", xlabel="$x$", ylim=(-4.6, 2.6))
    x = np.linspace(0, 1, 1025)
    for depth, colour in ((2, BLUE), (3, ORANGE), (4, GREEN)):
        y = x
        for _ in range(depth):
            y = tent(y).numpy()
        at = depth - 2
        tents.plot(x, y - 1.35 * at, color=colour, lw=1.5)
        tents.text(1.02, 0.5 - 1.35 * at, f"{depth} layers,\n{2 ** depth} pieces", color=colour,
                   fontsize=8.5, va="center")
    plain(tents, "the tent, in layers of two units", xlabel="$x$", yticks=[], xlim=(0, 1.27),
          xticks=[0, 0.5, 1])
    tents.spines["left"].set_visible(False)
    rng = np.random.default_rng(3)
    radius = np.r_[rng.uniform(0, 1, 150), rng.uniform(1.5, 2.4, 250)]
    angle = rng.uniform(0, 2 * np.pi, 400)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32)
    inner = (np.arange(400) < 150).astype(np.int64)
    net = train(nn.mlp([2, 16, 2], "relu", np.random.default_rng(1)), points, inner, 1500, lr=1e-2)
    side = np.linspace(-2.6, 2.6, 300, dtype=np.float32)
    u, v = np.meshgrid(side, side)
    with no_grad():
        logits = net(np.stack([u, v], -1).reshape(-1, 2)).numpy().reshape(300, 300, 2)
    more = logits[..., 1] - logits[..., 0]
    border.contourf(u, v, more, [-1e9, 0, 1e9], colors=["#f4f4f4", "#dbe6f1"])
    border.contour(u, v, more, [0], colors=[INK], linewidths=1.6)
    border.scatter(*points.T, s=7, c=np.where(inner, BLUE, ORANGE), linewidths=0)
    border.set_aspect("equal")
    plain(border, "a classifier with 16 hidden units", xlabel="$x_1$", ylabel="$x_2$")
    save(figure, "relu-network.png", colours=64)


# ---------------------------------------------------------------- the first weights

def of_variance(nv):
    return lambda rng, shape, fan_in, fan_out: rng.normal(0, (nv / fan_in) ** 0.5, shape)


class Deep(nn.Module):
    """Ten layers with ReLUs, and one that makes logits."""

    def __init__(self, init, rng, width=100, residual=False):
        self.first, self.residual = nn.Linear(784, width, rng, init=init), residual
        self.layers = [nn.Linear(width, width, rng, init=init) for _ in range(9)]
        self.logits = nn.Linear(width, 10, rng)

    def forward(self, x):
        x = ops.relu(self.first(x))
        for layer in self.layers:
            x = x + ops.relu(layer(x)) if self.residual else ops.relu(layer(x))
        return self.logits(x)


STARTS = (("Var(w) = 1/(3n), Linear's own", nn.lecun_uniform, 1 / 3, BLUE),
          ("Var(w) = 1/n, Glorot", nn.glorot_uniform, 1, GREEN),
          ("Var(w) = 2/n, He", nn.he_normal, 2, INK),
          ("Var(w) = 8/n", of_variance(8), 8, RED))


def draw_starts(data):
    figure = new_figure(11, 4.4, "Ten layers with ReLUs, from four kinds of first weights")
    scale, learning = figure.subplots(1, 2)
    x = rows(data.train_images[:IMAGES])
    def smooth(values, width=15):
        return np.convolve(values, np.ones(width) / width, "valid")
    for name, init, nv, colour in STARTS:
        rng = np.random.default_rng(0)
        y, found = rng.standard_normal((300, 400), dtype=np.float32), [1.0]
        for _ in range(10):
            y = ops.relu(nn.Linear(400, 400, rng, init=init)(y))
            found.append(float((y.numpy() ** 2).mean() ** 0.5))
        scale.plot(range(11), found, "o-", color=colour, ms=4, lw=1.4, label=name)
        scale.plot(range(11), (nv / 2) ** (np.arange(11) / 2), "--", color=colour, lw=1)
        seen = []
        train(Deep(init, np.random.default_rng(0)), x, data.train_labels, 300,
              lambda step, loss, seen=seen: seen.append(loss))
        learning.plot(smooth(seen), color=colour, lw=1.6)
    seen = []
    train(Deep(nn.lecun_uniform, np.random.default_rng(0), residual=True), x, data.train_labels,
          300, lambda step, loss: seen.append(loss))
    learning.plot(smooth(seen), color=VIOLET, lw=1.6, label="1/(3n), with residual connections")
    learning.axhline(np.log(10), color=GREY, lw=0.9, ls=":")
    learning.text(300, np.log(10) * 1.06, "log 10: a guess", fontsize=8, color=GREY, ha="right")
    scale.set_yscale("log")
    learning.set_yscale("log")
    scale.legend(frameon=False, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 0.02))
    learning.legend(frameon=False, fontsize=8.5, loc="upper right")
    plain(scale, "root mean square of the activations", xlabel="layer")
    plain(learning, f"training loss, nats ({data.title}, means of 15 steps)", xlabel="step")
    save(figure, "activation-scale.png", colours=64)


# ---------------------------------------------------------------- overfitting

def draw_overfitting(data):
    figure = new_figure(9, 4.6, f"A network of 784-400-400-10 on few images ({data.title})",
                        "solid: loss on 2,000 test images, its lowest place marked; dashed: on "
                        "the training images")
    axes = figure.subplots()
    x_test, test_labels = rows(data.test_images[:TEST]), data.test_labels[:TEST]
    steps = np.unique(np.geomspace(1, 1500, 40).round().astype(int))
    for n, colour in ((100, RED), (300, ORANGE), (3000, BLUE)):
        x, labels = rows(data.train_images[:n]), data.train_labels[:n]
        net = nn.mlp([784, 400, 400, 10], "relu", generator(0, "weights"))
        found = []
        def seen(step, loss, net=net, x=x, labels=labels, found=found):
            if step in steps:
                with no_grad():
                    found.append([losses.softmax_cross_entropy(net(a), b).item()
                                  for a, b in ((x, labels), (x_test, test_labels))])
        train(net, x, labels, 1500, seen, batch_size=50)
        training, test = np.array(found).T
        axes.plot(steps, training, "--", color=colour, lw=1.2)
        axes.plot(steps, test, color=colour, lw=1.8)
        best = test.argmin()
        axes.plot(steps[best], test[best], "o", color=colour, ms=7)
        axes.text(1600, test[-1], f"{n:,} images", color=colour, fontsize=9.5, va="center")
    axes.set_xscale("log")
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    axes.xaxis.set_minor_formatter(NullFormatter())
    plain(axes, "", xlabel="steps, with batches of 50", ylabel="cross-entropy, nats", ylim=(0, 2.8),
          xlim=(1, 4200))
    save(figure, "overfitting.png", colours=64)


# ---------------------------------------------------------------- the size of the code

def draw_sizes(data):
    sizes, shown = (1, 2, 4, 8, 16, 32, 64), (2, 8, 32)
    x, x_test = rows(data.train_images[:IMAGES]), rows(data.test_images[:TEST])
    mean = x.mean(axis=0)
    _, _, directions = np.linalg.svd(x - mean, full_matrices=False)
    def error(x_hat):
        return float(((x_test - x_hat) ** 2).sum(axis=1).mean())
    def pca(z_dim):
        return mean + (x_test - mean) @ directions[:z_dim].T @ directions[:z_dim]
    again = {}
    for z_dim in sizes:
        auto = trained(Autoencoder(784, h_dim=200, z_dim=z_dim, rng=generator(0, "weights")),
                       data.train_images[:IMAGES], 8)
        again[z_dim] = auto.reconstruct(x_test).numpy()
    figure = new_figure(10.6, 4.5, f"How much of an image is left in a code of k numbers "
                                 f"({data.title}, test images)")
    axes, pictures = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 1.12]})
    for name, colour, errors, below in (
            ("PCA", ORANGE, [error(pca(k)) for k in sizes], False),
            ("autoencoder", BLUE, [error(again[k]) for k in sizes], True)):
        axes.plot(sizes, errors, "o-", color=colour, lw=1.8, label=name)
        for k, e in zip(sizes, errors, strict=True):
            axes.annotate(f"{e:.1f}", (k, e), (0, -13 if below else 6), textcoords="offset points",
                          ha="center", fontsize=8, color=colour)
    axes.axhline(error(mean), color=GREY, lw=0.9, ls=":")
    axes.text(64, error(mean) + 0.6, "the mean image for all", fontsize=8, color=GREY, ha="right")
    axes.set_xscale("log")
    axes.set_xticks(sizes, sizes)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.93))
    plain(axes, "squared error of an image, summed over its pixels",
          xlabel="numbers in the code, k", ylim=(0, None))
    chosen = [int(np.flatnonzero(data.test_labels == k)[1]) for k in (0, 1, 2, 3, 4, 5, 7, 8)]
    lines = [("image", x_test)] + [(f"{name}, {k}", of(k)) for k in shown for name, of in (
        ("PCA", pca), ("autoencoder", again.get))]
    strip = mosaic(np.concatenate([a[chosen] for _, a in lines]).reshape(-1, 28, 28, 1), 8)
    pictures.imshow(strip, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    pictures.set_yticks([30 * k + 14 for k in range(len(lines))], [name for name, _ in lines],
                        fontsize=9)
    pictures.tick_params(length=0)
    pictures.set_xticks([])
    pictures.spines[:].set_visible(False)
    save(figure, "latent-sizes.png", colours=64)


if __name__ == "__main__":
    data = digits()
    draw_whole(data)
    draw_relu()
    draw_starts(data)
    draw_overfitting(data)
    draw_sizes(data)
