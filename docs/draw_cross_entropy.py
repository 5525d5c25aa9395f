"""Draws images/logits-to-loss.png: logits, probabilities and a loss; images/cross-entropy.png: a
softmax, its loss and the gradient; and images/stable-forms.png: -log sigmoid(l) and its gradient in
float32, written in three ways.

    python docs/draw_cross_entropy.py
"""

import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, PALE, RED, new_figure, save

from scratchnet import Tensor, losses, ops
from scratchnet.runs.figures import plain

Z, LABEL = np.array([2.0, 1.0, 0.0]), 0


def loss_and_gradient(z):
    """-log softmax(z)[LABEL] for each row of z, and the gradients."""
    leaf = Tensor(z, requires_grad=True)
    loss = losses.softmax_cross_entropy(leaf, np.full(len(z), LABEL), "none")
    loss.sum().backward()
    return loss.numpy(), leaf.grad


def whole_figure():
    """The logits, what softmax makes of them, and the label's place on the curve of -log p."""
    figure = new_figure(10.5, 3.9, "From logits to probabilities to a loss: label 0 was seen")
    panels = figure.subplots(1, 5, gridspec_kw={"width_ratios": [1, .42, 1, .42, 1.25]})
    logits, first, bars, second, curve = panels
    p, loss = ops.softmax(Z).numpy(), loss_and_gradient(Z[None])[0][0]
    for axes, heights, form in ((logits, Z, "{:g}"), (bars, p, "{:.2f}")):
        axes.bar(range(3), heights, width=.62, color=(BLUE, ORANGE, GREEN), alpha=.85)
        for k, height in enumerate(heights):
            axes.text(k, height + .03 * max(heights), form.format(height), ha="center", va="bottom",
                      fontsize=11, color=INK)
        axes.set(xticks=range(3), xticklabels=[f"label {k}" for k in range(3)],
                 ylim=(0, 1.18 * max(heights)), yticks=[])
    logits.set_title("logits z", fontsize=10.5)
    bars.set_title("probabilities p", fontsize=10.5)

    at = np.linspace(.012, 1, 300)
    curve.plot(at, -np.log(at), color=INK, lw=2)
    curve.plot([p[LABEL], p[LABEL], 0], [0, loss, loss], "--", color=BLUE, lw=1.4)
    curve.plot(p[LABEL], loss, "o", color=BLUE, ms=8)
    curve.text(.05, loss + .1, f"loss {loss:.2f}", color=BLUE, fontsize=11, ha="left")
    curve.text(.23, 2.6, "held to be unlikely:\na great surprise", color=GREY, fontsize=10)
    curve.set(xlim=(0, 1.02), ylim=(0, 4.5), xlabel="p of the label that was seen")
    curve.set_title("loss = -log p", fontsize=10.5)
    for axes, words in ((first, "softmax\n$e^z$, divided\nby their sum"),
                        (second, "look up\np of label 0")):
        axes.axis("off")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.annotate("", (1, .5), (0, .5), arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 2,
                                                        "mutation_scale": 18})
        axes.text(.5, .55, words, ha="center", va="bottom", fontsize=10, color=GREY)
    for axes in (logits, bars, curve):
        plain(axes)
    for axes in (logits, bars):
        axes.grid(False)
        axes.spines["left"].set_visible(False)
    save(figure, "logits-to-loss.png")


def softmax_figure():
    figure = new_figure(10.5, 4.1, "Three logits, the label is class 0")
    bars, curves, slope = figure.subplots(1, 3)
    colours = (BLUE, ORANGE, GREEN)

    p, gradient = ops.softmax(Z).numpy(), loss_and_gradient(Z[None])[1][0]
    bars.bar(range(3), [1, 0, 0], width=.6, facecolor="none", edgecolor=GREY, ls="--", lw=1.2)
    bars.bar(range(3), p, width=.6, color=colours, alpha=.85)
    for k in range(3):
        target = p[k] - gradient[k]
        bars.annotate("", (k, target), (k, p[k]), zorder=3,
                      arrowprops={"arrowstyle": "-|>", "color": RED, "lw": 2, "shrinkA": 0,
                                  "shrinkB": 0, "mutation_scale": 13})
        bars.text(k + .36 * (k == 0), (p[k] + target) / 2 if k == 0 else p[k] + .03,
                  f"{gradient[k]:+.3f}", color=RED, fontsize=10,
                  va="center" if k == 0 else "bottom",
                  ha="left" if k == 0 else "center")
    bars.set(xticks=range(3), xticklabels=[f"class {k}\nlogit {z:g}" for k, z in enumerate(Z)],
             ylim=(0, 1.08), title="p, and the gradient p - one-hot")

    moved = np.linspace(-5, 9, 200)
    z = np.stack([moved, np.full(200, Z[1]), np.full(200, Z[2])], 1)
    p, (loss, gradient) = ops.softmax(z).numpy(), loss_and_gradient(z)
    for k, place in enumerate([(4.1, .86), (-4.8, .79), (-4.8, .32)]):
        curves.plot(moved, p[:, k], color=colours[k], lw=2)
        curves.text(*place, f"class {k}", color=colours[k], fontsize=10)
    curves.axvline(Z[0], color=PALE, lw=1)
    curves.set(xlabel="logit of class 0", title="p = softmax", ylim=(0, 1.08))

    slope.plot(moved, loss, color=INK, lw=2)
    log_sum = float(ops.logsumexp(Z[1:]).item())
    slope.plot(moved, log_sum - moved, "--", color=GREY, lw=1)
    for at in (-3, 2, 6):
        k = np.abs(moved - at).argmin()
        run = np.array([-1.3, 1.3])
        slope.plot(moved[k] + run, loss[k] + gradient[k, 0] * run, color=RED, lw=2)
        slope.text(moved[k] + .35, loss[k] + .35, f"{gradient[k, 0]:+.2f}", color=RED, fontsize=10)
    slope.set(xlabel="logit of class 0", title="loss, and slope p - 1", ylim=(-.25, 6.5))
    for axes in (bars, curves, slope):
        axes.title.set_fontsize(10.5)
        plain(axes)
    bars.grid(False)
    save(figure, "cross-entropy.png")


FORMS = [  # how it is written, what it computes of a Tensor l, colour, width
    ("bce_with_logits(l, 1)", lambda x: losses.bce_with_logits(x, np.ones(x.shape), "none"),
     BLUE, 5),
    ("-log(1 / (1 + e^-l))", lambda x: -ops.log(1 / (1 + ops.exp(-x))), ORANGE, 2.2),
    ("-log(1/2 + 1/2 tanh(l/2))", lambda x: -ops.log(0.5 + 0.5 * ops.tanh(0.5 * x)), RED, 1.5),
]


def stable_figure():
    figure = new_figure(10.5, 4.1, "-log sigmoid(l) in float32, written in three ways")
    left, right = figure.subplots(1, 2)
    at = np.linspace(-120, 20, 1401).astype(np.float32)
    for name, form, colour, width in FORMS:
        x = Tensor(at, requires_grad=True)
        with np.errstate(all="ignore"):
            y = form(x)
            y.sum().backward()
        for axes, values in ((left, y.numpy()), (right, x.grad)):
            fine = np.isfinite(values)
            axes.plot(at[fine], values[fine], color=colour, lw=width, label=name,
                      alpha=.35 if width > 3 else 1, solid_capstyle="butt")
            if not fine.all():
                first = at[fine].min()
                axes.plot([first], [values[fine][0]], "x", color=colour, ms=10, mew=2.5)
                kind = "inf" if np.isinf(values[~fine]).all() else "nan"
                axes.annotate(f"{kind} below {first:.1f}", (first, values[fine][0]),
                              (8, 4) if axes is left else (-6, -20), color=colour, fontsize=10,
                              textcoords="offset points", ha="left" if axes is left else "center")
    left.set(xlabel="l", title="the loss", ylim=(-6, 128))
    right.set(xlabel="l", title="its gradient (true: sigmoid(l) - 1)", ylim=(-1.3, .12))
    left.legend(frameon=False, fontsize=10)
    for axes in (left, right):
        axes.title.set_fontsize(10.5)
        plain(axes)
    save(figure, "stable-forms.png")


if __name__ == "__main__":
    whole_figure()
    softmax_figure()
    stable_figure()
