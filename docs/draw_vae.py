"""Draws three pictures of the VAEs of the box: images/vae-model.png, the parts of the model;
images/aggregate-posterior.png, the codes of all images against the prior; images/vae-trained.png,
what a trained VAE makes of images. With MNIST and Fashion-MNIST if they are there, else with
synthetic digits.

    python docs/draw_vae.py
"""

import math

import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, RED, digits, in_box, new_figure, save
from matplotlib.colors import PowerNorm
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Polygon

from benchmarks.named import nearest
from scratchnet import no_grad
from scratchnet.runs.figures import mosaic
from scratchnet.training import evaluate, to_batch

RADIUS = 2.45  # 95 % of the prior on a plane is within
COLUMNS = 14


def normal(z, mean=0.0, sigma=1.0):
    return np.exp(-((z - mean) / sigma) ** 2 / 2) / (sigma * math.sqrt(2 * math.pi))


# ---------------------------------------------------------------- the parts of the model

@no_grad()
def draw_model(figure, vae, x):
    """Above: training, from an image to itself. Below: drawing, from noise to an image."""
    page = figure.add_axes((0, 0, 1, .93), xlim=(0, 110), ylim=(0, 46))
    page.axis("off")
    mu, log_var = (part.numpy()[0] for part in vae.encode(to_batch(x)))
    sigma, k = np.exp(log_var / 2), int(np.argmax(np.abs(mu) * (np.abs(mu) < 1.8)))
    rng = np.random.default_rng(4)
    eps = rng.standard_normal(mu.shape)
    again = vae.mean_image((mu + sigma * eps)[None].astype(np.float32)).numpy().reshape(28, 28)
    noise = rng.standard_normal(mu.shape)
    new = vae.mean_image(noise[None].astype(np.float32)).numpy().reshape(28, 28)

    def picture(image, left, below, name):
        axes = page.inset_axes((left, below, 11, 11), transform=page.transData)
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        page.text(left + 5.5, below - 1.4, name, ha="center", va="top", fontsize=13, color=INK)

    def funnel(left, below, text, closing):
        a, b = (6.5, 2.5) if closing else (2.5, 6.5)
        page.add_patch(Polygon([(left, below - a), (left, below + a), (left + 11, below + b),
                                (left + 11, below - b)], facecolor="#e8eef5", edgecolor=BLUE))
        page.text(left + 5.5, below, text, ha="center", va="center", fontsize=14, color=INK)

    def curves(left, below, z, with_q):
        axes = page.inset_axes((left, below, 17, 10), transform=page.transData)
        t = np.linspace(-3.2, 3.2, 400)
        axes.fill_between(t, normal(t), color=GREY, alpha=.35, lw=0)
        if with_q:
            axes.fill_between(t, normal(t, mu[k], sigma[k]), color=ORANGE, alpha=.6, lw=0)
        axes.plot(z, 0, "o", color=RED, ms=7, clip_on=False, zorder=3)
        axes.set(yticks=[], xticks=[-2, 0, 2], ylim=(0, None))
        axes.tick_params(labelsize=8)
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)

    def arrow(x0, y0, x1, y1, **kw):
        page.add_patch(FancyArrowPatch((x0, y0), (x1, y1), arrowstyle="-|>", mutation_scale=13,
                                       color=kw.pop("color", INK), lw=1.3, **kw))

    top, low = 33, 10.5
    picture(to_batch(x)[0, ..., 0], 7, top - 5.5, "image x")
    funnel(23, top, "encoder", closing=True)
    curves(42, top - 5, mu[k] + sigma[k] * eps[k], with_q=True)
    page.text(42, top + 7.6, "guess $q(z|x)$: mean $\\mu$, spread $\\sigma$", color="#b8620a",
              fontsize=13, va="center")
    page.text(42, top - 8.6, "a draw $z = \\mu + \\sigma \\epsilon$", color=RED, fontsize=13,
              va="center")
    page.text(42, top - 11, "KL: how far is the guess from the grey prior?", color=GREEN,
              fontsize=13, va="center")
    funnel(67, top, "decoder", closing=False)
    picture(again, 86, top - 5.5, "the decoder's pixels")
    for start, end in ((18.5, 22.5), (34.5, 41.5), (60, 66.5), (78.5, 85.5)):
        arrow(start, top, end, top)
    arrow(91.5, top + 6, 12.5, top + 6, connectionstyle="arc3,rad=.11", color=GREEN)
    page.text(75, top + 10.5, "reconstruction: are they alike?", color=GREEN, fontsize=13)
    page.text(1, top, "training", rotation=90, va="center", fontsize=14, fontweight="bold",
              color=INK)

    page.axhline(20, color="#cccccc", lw=1)
    curves(42, low - 5, noise[k], with_q=False)
    page.text(42, low + 7.6, "prior $p(z) = N(0, I)$", color="#555555", fontsize=13, va="center")
    page.text(42, low - 8.4, "a draw $z$", color=RED, fontsize=13, va="center")
    funnel(67, low, "decoder", closing=False)
    picture(new, 86, low - 5.5, "a new image")
    for start, end in ((60, 66.5), (78.5, 85.5)):
        arrow(start, low, end, low)
    page.text(1, low, "drawing", rotation=90, va="center", fontsize=14, fontweight="bold",
              color=INK)
    page.text(7, low, "No image and no encoder: noise\nstands in for the guess.\n\n"
              "(One of z's 20 numbers is shown.)", fontsize=13, color=INK, va="center")


# ---------------------------------------------------------------- the codes of all images

def log_density(z, mu, log_var):
    """log q(z) for points z (n, 2): the mean over the images of their N(mu, e^log_var)."""
    found = []
    for some in np.array_split(z, max(1, len(z) // 200)):
        e = -((some[:, None] - mu) ** 2 * np.exp(-log_var) + log_var).sum(2) / 2
        most = e.max(1)
        found.append(most + np.log(np.exp(e - most[:, None]).mean(1)))
    return np.concatenate(found) - math.log(2 * math.pi)


def log_prior(z):
    return -(z ** 2).sum(-1) / 2 - math.log(2 * math.pi)


@no_grad()
def draw_aggregate(figure, vae, dataset):
    mu, log_var = (part.numpy().astype(np.float64)
                   for part in vae.encode(to_batch(dataset.test_images)))
    sigma, rng = np.exp(log_var / 2), np.random.default_rng(0)
    kl = ((mu ** 2 + sigma ** 2 - 1 - log_var) / 2).sum(1).mean()
    z = mu + sigma * rng.standard_normal(mu.shape)
    surplus = (log_density(z, mu, log_var) - log_prior(z)).mean()
    figure.suptitle(f"The codes of all test images ({dataset.title}), and the prior: mean KL "
                    f"{kl:.2f} = {kl - surplus:.2f} + {surplus:.2f} nats", x=.02, ha="left",
                    fontsize=12, fontweight="bold", color=INK)
    side = np.linspace(-3.5, 3.5, 176)
    points = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    log_q = log_density(points, mu, log_var)
    ratio = log_q - log_prior(points)

    rows = figure.subfigures(2, 1, height_ratios=[3.9, 1])
    one, all_, holes = rows[0].subplots(1, 3)
    for m, s in zip(mu[:60], sigma[:60], strict=True):
        one.add_patch(Ellipse(m, *(2 * s), facecolor=ORANGE, edgecolor="#8a4b00", alpha=.6, lw=.6))
    one.set_title("$q(z|x)$ of 60 images", fontsize=11, color=INK)
    extent = (-3.5, 3.5, -3.5, 3.5)
    all_.imshow(np.exp(log_q).reshape(176, 176), origin="lower", extent=extent, cmap="Oranges",
                norm=PowerNorm(.5))
    all_.set_title(f"$q(z)$: the average of {len(mu):,}", fontsize=11, color=INK)
    shown = holes.imshow(ratio.reshape(176, 176), origin="lower", extent=extent, cmap="PuOr_r",
                         vmin=-4, vmax=4)
    rows[0].colorbar(shown, ax=holes, ticks=(-4, -2, 0, 2, 4), shrink=.75)
    holes.set_title("$\\log q(z) - \\log p(z)$; purple: holes", fontsize=11, color=INK)
    inside = np.linalg.norm(points, axis=1) < 2
    chosen = [apart(points[inside], order * ratio[inside]) for order in (1, -1)]
    for axes in (one, all_, holes):
        for radius in (1, RADIUS):
            axes.add_patch(Circle((0, 0), radius, fill=False, edgecolor=INK, lw=1, ls="--"))
        axes.set(xlim=extent[:2], ylim=extent[2:], aspect="equal", xlabel="$z_1$",
                 xticks=range(-3, 4), yticks=range(-3, 4))
    one.set_ylabel("$z_2$")
    for at, mark, colour in zip(chosen, "xo", ("black", "white"), strict=True):
        holes.scatter(*at.T, marker=mark, s=22, color=colour, edgecolor="black" * (mark == "o")
                      or None, linewidths=1)
    strips = rows[1].subplots(1, 2)
    for axes, at, title in zip(strips, chosen, (
            "decoded at the crosses: noise falls there, and few codes are there",
            "decoded at the dots: more codes than noise"), strict=True):
        images = vae.mean_image(at.astype(np.float32)).numpy().reshape(-1, 28, 28, 1)
        axes.imshow(mosaic(images, len(images)), cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=11, color=INK)
        axes.axis("off")


def apart(points, scores, count=9, distance=.45):
    """The places with the lowest scores, none near to another."""
    found = []
    for k in np.argsort(scores):
        if all(np.linalg.norm(points[k] - p) > distance for p in found):
            found.append(points[k])
        if len(found) == count:
            return np.array(found)


# ---------------------------------------------------------------- what a trained one makes

def cost(vae, images):
    """-ELBO in nats, and how much of it is above the least that grey pixels cost."""
    x = to_batch(images).reshape(len(images), -1).clip(1e-7, 1 - 1e-7)
    floor = -(x * np.log(x) + (1 - x) * np.log(1 - x)).sum(1).mean()
    neg_elbo = evaluate(vae, images, 500)["neg_elbo"]
    return f"-ELBO {neg_elbo:.0f} nats, {neg_elbo - floor:.0f} above the floor"


@no_grad()
def draw_trained(figure, vae, dataset, other):
    n = COLUMNS
    each = [np.flatnonzero(dataset.test_labels == k % 10)[k // 10] for k in range(n)]
    x = to_batch(dataset.test_images[each])
    strange = to_batch(other.test_images[:n])
    rng = np.random.default_rng(0)
    samples = vae.sample(1000, rng).numpy()
    again = vae.reconstruct(to_batch(dataset.test_images[:1000])).numpy().reshape(-1, 784)
    k, far = nearest(samples, dataset.train_images, 1)
    near = to_batch(dataset.train_images[k[:n, 0]])
    _, of_again = nearest(again, dataset.train_images, 1)
    mu = vae.encode(to_batch(dataset.test_images[:20]))[0].numpy()
    t = np.linspace(0, 1, n, dtype=np.float32)[:, None]
    walk = np.concatenate([vae.mean_image((1 - t) * mu[a] + t * mu[b]).numpy()
                           for a, b in ((0, 1), (2, 4), (11, 15))])
    costs = [cost(vae, d.test_images[:1000]) for d in (dataset, other)]
    panels = figure.subplots(4, 1, gridspec_kw={"height_ratios": [2, 2, 3, 2]})
    for axes, images, title in zip(panels, (
            [x, vae.reconstruct(x).numpy()], [samples[:n], near], [walk],
            [strange, vae.reconstruct(strange).numpy()]), (
            f"test images, and below them their reconstructions ({costs[0]})",
            f"new images, and below each its nearest training image (mean distance of 1,000: "
            f"{far.mean():.1f}; of 1,000 reconstructions of test images: {of_again.mean():.1f})",
            "from one test image's code to another's, in equal steps",
            f"{other.title}, which it never saw, and below them its reconstructions "
            f"({costs[1]})"), strict=True):
        rows = np.concatenate([np.asarray(part).reshape(-1, 28, 28, 1) for part in images])
        axes.imshow(mosaic(rows, n), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=11, color=INK, loc="left")
        axes.axis("off")


def main():
    dataset, other = digits(), digits("fashion-mnist")
    vae, plane = in_box("vae-mnist").model, in_box("vae2-mnist").model
    figure = new_figure(11, 4.8, "A VAE: encoder, code, decoder")
    figure.set_layout_engine("none")
    draw_model(figure, vae, dataset.test_images[:1])
    save(figure, "vae-model.png", colours=128)
    figure = new_figure(11, 5.2, "")
    draw_aggregate(figure, plane, dataset)
    save(figure, "aggregate-posterior.png", colours=96)
    figure = new_figure(11, 8.1, "What pretrained/vae-mnist makes of images, by 20 numbers each")
    draw_trained(figure, vae, dataset, other)
    save(figure, "vae-trained.png", colours=24)


if __name__ == "__main__":
    main()
