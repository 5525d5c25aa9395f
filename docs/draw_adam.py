"""Draws images/valley.png: SGD, momentum and Adam in one valley; images/moments.png: running means,
their correction, the length of Adam's steps; images/schedules.png: what a falling rate and averaged
weights gain where gradients are noisy. All are computed by scratchnet.optim.

    python docs/draw_adam.py
"""

import numpy as np
from drawing import BLUE, GREEN, GREY, INK, ORANGE, RED, VIOLET, new_figure, plain, save

from scratchnet import Tensor, optim

STEPS = 50


# ---------------------------------------------------------------- one valley

def valley(turn):
    """The matrix A of L = p^T A p / 2: curvatures 1 and 50 along axes turned by this angle."""
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return axes @ np.diag([1.0, 50.0]) @ axes.T, axes @ np.array([-4.0, 1.0])


def descend(A, start, make):
    """The points and the losses of STEPS steps."""
    p, A = Tensor(start.copy(), requires_grad=True), Tensor(A)
    optimizer, points, losses = make([p]), [], []
    for _ in range(STEPS + 1):
        loss = 0.5 * (p * (A @ p)).sum()
        points.append(p.numpy().copy())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.array(points), np.array(losses)


def draw_valley():
    ways = [("SGD, lr 0.037", RED, lambda p: optim.SGD(p, lr=0.037)),
            ("momentum 0.9, lr 0.02", ORANGE, lambda p: optim.SGD(p, lr=0.02, momentum=0.9)),
            ("Adam, lr 0.3", BLUE, lambda p: optim.Adam(p, lr=0.3))]
    figure = new_figure(12.5, 4.4, f"{STEPS} steps down one valley, 50 times as steep across as it "
                                   "is along")
    *maps, curves = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.2, 1.2, 1]})
    x, y = np.meshgrid(np.linspace(-4.8, 2.2, 241), np.linspace(-4.2, 2.2, 241))
    for axes, turn, title in ((maps[0], 0, "along the axes"),
                              (maps[1], np.pi / 4, "the same valley, turned by 45 degrees")):
        A, start = valley(turn)
        z = (A[0, 0] * x * x + 2 * A[0, 1] * x * y + A[1, 1] * y * y) / 2
        levels = np.geomspace(0.03, 1000, 15)
        axes.contourf(x, y, z, levels, cmap="YlGnBu", alpha=0.4, norm="log", extend="both")
        axes.contour(x, y, z, levels, colors="white", linewidths=0.6)
        for name, colour, make in ways:
            points, losses = descend(A, start, make)
            axes.plot(*points.T, "-o", color=colour, ms=2.8, lw=1.3, label=name)
            curves.semilogy(losses, color=colour, lw=1.8, ls="--" if turn else "-",
                            label=name + ", turned" if turn and "Adam" in name else
                            None if turn else name)
        axes.plot(*start, "o", color=INK, ms=6)
        axes.plot(0, 0, "*", color="white", mec=INK, ms=13, zorder=4)
        axes.set_aspect("equal")
        plain(axes, title, xlabel="first parameter", ylabel="second parameter",
              xlim=(-4.8, 2.2), ylim=(-4.2, 2.2))
    maps[0].legend(loc="lower left", fontsize=8.5, framealpha=0.9)
    curves.legend(loc="lower left", fontsize=8, frameon=False)
    plain(curves, "the loss", xlabel="step", ylim=(2e-3, 60))
    curves.grid(alpha=0.3)
    save(figure, "valley.png")


# ---------------------------------------------------------------- moments

def lengths(gradients):
    """|change of a parameter| / lr at each step of Adam."""
    p, found = Tensor(np.zeros(1), requires_grad=True), []
    adam = optim.Adam([p], lr=1.0)
    for g in gradients:
        before, p.grad = p.item(), np.array([g])
        adam.step()
        found.append(abs(p.item() - before))
    return np.array(found)


def draw_moments():
    figure = new_figure(12.5, 4.1, "A running mean: its weights, its start, and the steps that "
                                   "Adam makes of two of them")
    weights, start, steps = figure.subplots(1, 3)

    k = np.arange(41)
    weights.bar(k, 0.1 * 0.9 ** k, color=[BLUE if i < 10 else "#b8cbe0" for i in k], width=0.8)
    weights.text(6.5, 0.072, f"the last 10 gradients:\n{1 - 0.9 ** 10:.0%} of all weight",
                 color=BLUE, fontsize=9)
    weights.text(17, 0.022, f"all before them: {0.9 ** 10:.0%}", color=GREY, fontsize=9)
    plain(weights, "weights (1 - b) b^k, b = 0.9", xlabel="k: steps ago", ylabel="weight")

    rng, p, t = np.random.default_rng(3), Tensor(np.zeros(1), requires_grad=True), np.arange(1, 61)
    adam, g, m = optim.Adam([p]), 1 + 0.7 * np.random.default_rng(3).standard_normal(60), []
    for value in g:
        p.grad = np.array([value])
        adam.step()
        m.append(adam.state["m"][0].item())
    start.plot(t, g, "o", color="#bbbbbb", ms=3.5, label="gradients: 1 + noise")
    start.plot(t, m, color=RED, lw=2, label="m, which starts at 0")
    start.plot(t, m / (1 - 0.9 ** t), color=BLUE, lw=2, label=r"$\hat{m}$ = m / (1 - b^t)")
    start.axhline(1, color=INK, lw=0.8, ls=":")
    start.legend(fontsize=8.5, loc="lower right", framealpha=0.9)
    start.set_ylim(-2.6, 3.6)
    plain(start, "the start, corrected", xlabel="step t")

    shown, many = 40, 6000
    rare = np.zeros(many)
    rare[-shown] = 1
    growing = (0.9 / 0.999) ** np.arange(many - 1.0, -1, -1)
    for name, colour, found in (
            ("growing by 11 % a step", VIOLET, lengths(growing)[-shown:]),
            ("one, after zeros", ORANGE, lengths(rare)[-shown:]),
            ("all the same", GREEN, lengths(np.full(shown, 3.0))),
            ("noise", GREY, lengths(rng.standard_normal(many))[-shown:])):
        steps.plot(np.arange(1, shown + 1), found, color=colour, lw=2, label=name)
    steps.legend(title="the gradients", fontsize=8.5, title_fontsize=8.5, loc="center right",
                 bbox_to_anchor=(1, 0.62), framealpha=0.9)
    steps.set_ylim(0, 7.6)
    plain(steps, "length of a step of Adam, / lr", xlabel="step (the last 40 of many)")
    save(figure, "moments.png")


# ---------------------------------------------------------------- schedules

def noisy(schedule, average=0.0, total=1000, n=4000):
    """(rates, losses) of Adam on n parameters of curvatures 0.2 to 1, whose gradients have noise;
    with an average, the losses of the averaged parameters."""
    rng, curvature = np.random.default_rng(0), np.geomspace(0.2, 1, n)
    p = Tensor(np.full(n, 3.0), requires_grad=True)
    adam, rate = optim.Adam([p], average=average), schedule(0.05, total)
    rates, losses = [rate(step) for step in range(total)], []
    for adam.lr in rates:
        p.grad = curvature * p.data + rng.standard_normal(n)
        adam.step()
        with adam.averaged():
            losses.append((curvature * p.data ** 2).mean() / 2)
    return rates, losses


def draw_schedules():
    figure = new_figure(12.5, 4.1, "Four schedules, and averaged weights, where every gradient has "
                                   "noise",
                        "Adam, lr 0.05, 1,000 steps on 4,000 parameters of curvatures from 0.2 to "
                        "1; noise of standard deviation 1 in every gradient")
    left, right = figure.subplots(1, 2)
    for name, colour in (("constant", GREY), ("exponential", GREEN), ("cosine", ORANGE),
                         ("cooldown", RED)):
        rates, losses = noisy(optim.SCHEDULES[name])
        left.plot(rates, color=colour, lw=2, label=name)
        right.semilogy(losses, color=colour, lw=1.8, label=name)
    _, losses = noisy(optim.constant, average=0.99)
    right.semilogy(losses, color=BLUE, lw=1.8, label="constant, weights averaged (d = 0.99)")
    left.legend(fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0.06, 0.05))
    right.legend(fontsize=9, frameon=False)
    plain(left, "the rate", xlabel="step", ylabel="lr")
    plain(right, "the loss without its noise", xlabel="step")
    right.grid(alpha=0.3)
    save(figure, "schedules.png")


if __name__ == "__main__":
    draw_valley()
    draw_moments()
    draw_schedules()
