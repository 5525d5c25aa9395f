"""Draws images/pixelcnn-asked.png: what the gated PixelCNN of pretrained/ says of each pixel of a
test digit, and of images that it never saw. Draws images/pixelcnn-drawn.png: its images at four
temperatures, its completions, and the training images nearest to its own. With MNIST and
Fashion-MNIST if they are there, else with synthetic digits.

    python docs/draw_asked.py
"""

import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, RED, digits, in_box, new_figure, save
from matplotlib.colors import LinearSegmentedColormap

from scratchnet import no_grad
from scratchnet.runs.figures import mosaic, plain
from scratchnet.runs.synthetic import synthetic_digits

HEAT = LinearSegmentedColormap.from_list("heat", ["#000000", "#a63603", "#fdae6b", "#ffffff"])
TEMPERATURES = (0.5, 0.8, 1.0, 1.3)
TEST = 1000


def binary(images):
    """Bytes -> 0 or 1, white with the probability byte/255, as in training."""
    return (np.random.default_rng(0).random(images.shape) < images / 255).astype(np.int32)


def p_white(model, x):
    """The probability of white at each pixel, given those before it: (N, H, W)."""
    parts = np.array_split(x, -(-len(x) // 50))
    return np.concatenate([1 / (1 + np.exp(-model.logits(part).numpy()[..., 0, 0]))
                           for part in parts])


def prices(model, x):
    """-log2 p of the value that each pixel has, in bits: (N, H, W)."""
    p = p_white(model, x)
    return -np.log2(np.where(x[..., 0] == 1, p, 1 - p))


def nats(model, x):
    return prices(model, x).sum(axis=(1, 2)) * np.log(2)


def panel(axes, picture, title="", below="", most=1, cmap="gray"):
    axes.imshow(picture, cmap=cmap, vmin=0, vmax=most, interpolation="nearest")
    axes.set_title(title, fontsize=9.5, color=INK)
    axes.set_xlabel(below, fontsize=9.5, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(GREY)


def draw_pixels(panels, model, x):
    """A digit, the probability of white, how unsure that is, and what its pixels cost."""
    p, paid = p_white(model, x[None])[0], prices(model, x[None])[0]
    unsure = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    panel(panels[0], x[..., 0], "a test digit")
    panel(panels[1], p, "probability of white,\ngiven all earlier pixels", "black 0, white 1")
    panel(panels[2], unsure, "how unsure it is", f"white: 1 bit; {unsure.sum():.0f} bits in all",
          cmap=HEAT)
    panel(panels[3], paid, "what each pixel cost", f"white: 4 bits or more;\n{paid.sum():.0f} bits "
          f"= {paid.sum() * np.log(2):.0f} nats in all", 4, HEAT)
    print(f"of {p.size} pixels {(unsure < .1).sum()} less than 0.1 bits unsure; they cost "
          f"{paid[unsure < .1].sum():.1f} bits of {paid.sum():.1f}")


def draw_strangers(figure, model, kinds):
    """Of each kind one image and its prices below; beside them the nats of all."""
    images, axes = figure.subfigures(1, 2, width_ratios=[1.5, 1])
    panels = images.subplots(2, len(kinds))
    axes = axes.subplots()
    for column, (name, (x, colour)) in zip(panels.T, kinds.items(), strict=True):
        cost = nats(model, x)
        one = np.argsort(cost)[len(x) // 2]  # of middling price
        panel(column[0], x[one, ..., 0], name)
        panel(column[1], prices(model, x[one:one + 1])[0], below=f"{cost[one]:.0f} nats", most=4,
              cmap=HEAT)
        print(f"{name!r}: {len(x)} images, mean {cost.mean():.1f}, from {cost.min():.1f} to "
              f"{cost.max():.1f} nats; {(cost < 32.9).sum()} below 32.9")
        if len(x) > 1:
            axes.hist(np.log10(cost), np.linspace(1.4, 3.2, 55), density=True, color=colour,
                      alpha=.65, label=name.replace("\n", " "))
        else:
            axes.axvline(np.log10(cost[0]), color=colour, lw=1.4, ls="--", label=name)
    ticks = (30, 50, 100, 200, 500, 1000)
    axes.set_xticks(np.log10(ticks), ticks)
    axes.set(yticks=[], xlabel="nats of an image (logarithmic)", xlim=np.log10((24, 1300)))
    axes.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(.5, 1), ncols=3)
    plain(axes)


def draw_asked(model, dataset):
    test, fashion = binary(dataset.test_images[:TEST]), digits("fashion-mnist")
    kinds = {"test digit": (test, BLUE),
             "synthetic\ndigit": (binary(synthetic_digits(train=200, test=10)[1][0]), GREEN),
             fashion.title: (binary(fashion.test_images[:200]), ORANGE),
             "black and\nwhite swapped": (1 - test[:200], RED),
             "all black": (np.zeros((1, 28, 28, 1), np.int32), INK)}
    figure = new_figure(12.5, 6.2, f"{dataset.title}, read by the trained gated PixelCNN")
    top, bottom = figure.subfigures(2, 1)
    draw_pixels(top.subplots(1, 4), model, test[0])
    draw_strangers(bottom, model, kinds)
    save(figure, "pixelcnn-asked.png", 96)


def nearest(x, among):
    """Of each image the number of the one among these that differs from it in the fewest pixels,
    and in how many."""
    x, among = (a.reshape(len(a), -1).astype(np.float32) for a in (x, among))
    differ = x.sum(1)[:, None] + among.sum(1) - 2 * x @ among.T
    return differ.argmin(1), differ.min(1)


def strip(axes, images, columns, title):
    axes.imshow(mosaic(images.astype(np.float32), columns), cmap="gray", vmin=0, vmax=1,
                interpolation="nearest")
    axes.set_title(title, fontsize=9.5, color=INK, loc="left")
    axes.axis("off")
    axes.set_anchor("NW")


def draw_drawn(model, dataset):
    train, test = binary(dataset.train_images), binary(dataset.test_images[:TEST])
    figure = new_figure(12.5, 6.3, f"What the gated PixelCNN, trained on {dataset.title}, draws")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.2])
    for axes, T in zip(left.subplots(len(TEMPERATURES), 1), TEMPERATURES, strict=True):
        x = model.sample_values(50, np.random.default_rng(1), temperature=T)
        strip(axes, x[:18], 9, f"temperature {T}: {nats(model, x).mean():.0f} nats on average")
        print(f"temperature {T}: {nats(model, x).mean():.1f} nats, {x.mean():.3f} of it white")
        if T == 1:
            drawn = x
    places, far = nearest(drawn, train)
    print(f"{TEST} training images: {nats(model, train[:TEST]).mean():.1f} nats on average")
    _, far_test = nearest(test[:200], train)
    grey = dataset.train_images / 255
    print(f"pixels to the nearest training image: of its own {np.median(far):.0f} (median; "
          f"{far.min():.0f} at least), of test images {np.median(far_test):.0f} "
          f"({far_test.min():.0f}); two binarisations of one training image are "
          f"{(2 * grey * (1 - grey)).sum(axis=(1, 2, 3)).mean():.0f} apart")
    upper, lower = right.subplots(2, 1, gridspec_kw={"height_ratios": [6.2, 2]})
    rows = []
    for k in (0, 1, 2, 3, 4, 7):
        known = np.repeat(test[k:k + 1], 9, axis=0)
        hidden = known[:1].astype(np.float32)
        hidden[:, 14:] = .5
        again = model.complete(known.astype(np.float32), np.random.default_rng(k))
        rows += [hidden, again, known[:1]]
    strip(upper, np.concatenate(rows), 11,
          "completions: what it is given, nine ways to go on, and the test digit itself")
    strip(lower, np.concatenate([drawn[:11], train[places[:11]]]), 11,
          "eleven of its images, and below each the nearest of all training images")
    save(figure, "pixelcnn-drawn.png", 16)


@no_grad()
def main():
    model = in_box("gated-pixelcnn-mnist").model
    dataset = digits()
    draw_asked(model, dataset)
    draw_drawn(model, dataset)


if __name__ == "__main__":
    main()
