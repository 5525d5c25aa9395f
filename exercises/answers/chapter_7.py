"""The VQ-VAE."""

import numpy as np

from models import VQVAE
from scratchnet import Tensor, losses

from ..check import N, Wrong, answer, predicted

NEAREST = "scratchnet.ops.quantise.nearest_code"


@answer(*[f"{NEAREST}: {line}" for line in ("rows =", "mean =", "e =", "minus_two_e", "e_squared",
                                            "distance =", "distance +=", "indices[block] =")],
        swap={"codebook": "e", "[block]": "", "indices =": "return"},
        cases=[dict(z=np.array([[1.0, 0.2], [4, 1], [0.1, -0.6], [-2, 0.5], [-0.1, -0.22]]),
                    e=np.array([[5.0, 0], [0, 0.2], [0.3, -0.5], [-0.6, 0.1]]))],
        returns=("k",),
        hint="distances = (e * e).sum(axis=1) - 2 * z @ e.T is (n, K); argmin along its last axis.",
        wrong={"return (z @ e.T).argmax(axis=1)": "k at",
               "return ((e * e).sum(axis=1) - z @ e.T).argmin(axis=1)": "k at",
               "return ((e * e).sum(axis=1) - 2 * z @ e.T).argmin(axis=0)":
               "expected shape (5,), found (4,)",
               "return np.abs(z[:, None] - e).max(axis=2).argmin(axis=1)": "k at 4"})
def nearest(z, e):
    return np.array([np.argmin([np.sum((v - c) ** 2) for c in e]) for v in z])


predicted("straight_through", "value, dz_0, dz_1, de",
          hint="y is e, exactly. dL/dy = 6 y, taken at y = e; it goes to z unchanged, and e gets "
               "nothing from it.",
          wrong={"return 0.75, 0.0, 6.0, 'nothing'": "value: expected 1, found 0.75",
                 "return 1.0, 0.0, 6.0, None": "de: found None; a string is expected",
                 "return 1.0, 1.5, 4.5, 'nothing'": "dz_0: expected 0, found 1.5",
                 "return 1.0, 0.0, 6.0, 'something'":
                 "de: expected 'nothing', found 'something'"})


def pulls(vq_terms, z_e, e, beta):
    z_e, e = Tensor(z_e, requires_grad=True), Tensor(e, requires_grad=True)
    loss = vq_terms(z_e, e, beta)
    loss.backward()
    return loss.data, *(np.zeros(t.shape) if t.grad is None else t.grad for t in (z_e, e))


@answer("models.vqvae.VQVAE.loss: vq = self", "models.vqvae.VQVAE.loss: vq = vq",
        swap={"self.": ""}, then="return vq", measure=pulls, cases=[dict(z_e=N(3, 2), e=N(3, 2),
                                                                         beta=0.25)],
        returns=("the loss", "its gradient in z_e", "its gradient in e"),
        hint="z_e - e.detach() moves z_e: that is the commitment, and beta belongs to it.",
        wrong={"return mean_square(z_e - e) + beta * mean_square(z_e - e)":
               "its gradient in z_e at",
               "return beta * mean_square(z_e - e.detach())": "the loss: expected",
               "return mean_square(z_e - e.detach()) + beta * mean_square(z_e.detach() - e)":
               "its gradient in z_e at"})
def commitment(z_e, e, beta):
    scale = 2 * (z_e - e) / e.size
    return (1 + beta) * np.mean((z_e - e) ** 2), beta * scale, -scale


def updated(N_k, m, z, k, gamma):
    """N and m of a VQ-VAE after one update."""
    model = VQVAE((4, 4, 1), "keras", num_embeddings=len(m), embedding_dim=m.shape[1],
                  decay=gamma).astype(np.float64)
    model.N.data, model.m.data = N_k.copy(), m.copy()
    one_hot = np.eye(len(m))[k]
    model.update({"usage": one_hot.mean(axis=0), "sums": one_hot.T @ z / len(z)}, len(z))
    return model


UPDATE = "models.vqvae.VQVAE.update"


@answer(f"{UPDATE}: self.N.data[...] =", f"{UPDATE}: self.m.data[...] =", tensors=True,
        swap={"self.N.data[...]": "N", "self.N.data": "N", "self.m.data[...]": "m",
              "self.m.data": "m", 'means["usage"] * vectors': "count(k, len(N))",
              'means["sums"] * vectors': "segment_sum(k, z, len(N))"}, then="return N, m",
        returns=("N", "m"),
        cases=[dict(N=np.array([2.0, 1, 0.5]), m=N(3, 2), z=N(4, 2), k=np.array([0, 1, 0, 0]),
                    gamma=0.9)],
        hint="One-hot rows, O = np.eye(K)[k], give both: O.sum(axis=0) counts, O.T @ z adds up.",
        wrong={"O = np.eye(len(N))[k]\n"
               "return gamma * N + (1 - gamma) * O.sum(axis=0), (1 - gamma) * m + gamma * O.T @ z":
               "m at (",
               "O = np.eye(len(N))[k]\nreturn gamma * N + (1 - gamma) * O.mean(axis=0), "
               "gamma * m + (1 - gamma) * O.T @ z": "N at",
               "N, m = gamma * N, gamma * m\nm[k] += (1 - gamma) * z\nN[k] += 1 - gamma\n"
               "return N, m": "N at 0: expected 2.1, found 1.9",
               "O = np.eye(k.max() + 1)[k]\nreturn gamma * N + (1 - gamma) * O.sum(axis=0), "
               "gamma * m + (1 - gamma) * O.T @ z": "ValueError"})
def ema(N_k, m, z, k, gamma):
    model = updated(N_k, m, z, k, gamma)
    return model.N.data, model.m.data


@answer(f"{UPDATE}: N =", f"{UPDATE}: smoothed =", f"{UPDATE}: self.e.data[...] =", tensors=True,
        swap={"self.e.data[...] =": "return", "self.m.data": "m", "self.N.data": "N_k",
              "EPS": "eps", "K *": "len(N_k) *"}, returns=("e",),
        cases=[dict(m=N(3, 2), N_k=np.array([2.0, 0, 3]), eps=0.1)],
        hint="(N_k + eps) / (N + K eps) adds up to 1 over all k; times N it adds up to N.",
        wrong={"return m / N_k[:, None]": "divided by 0",
               "N = N_k.sum()\nreturn m / ((N_k + eps) / (N + eps) * N)[:, None]":
               "times what it should be",
               "N = N_k.sum()\nreturn m / ((N_k + eps) / (N + len(N_k) * eps))[:, None]":
               "5 times what it should be"})
def laplace(m, N_k, eps):
    share = (N_k + eps) / (N_k + eps).sum()
    return m / (share * N_k.sum())[:, None]


@answer("scratchnet.losses.perplexity", swap={"usage": "p"}, returns=("the perplexity",),
        cases=[dict(p=np.array([0.5, 0.25, 0.25, 0])), dict(p=np.array([0.2] * 5)),
               dict(p=np.array([1.0, 0]))],
        hint="np.where(p > 0, p, 1) puts 1 where p is 0, and log 1 is 0.",
        wrong={"return np.exp(-(p * np.log(p)).sum())": "found nan",
               "return -(p * np.log(np.where(p > 0, p, 1))).sum()": "the perplexity: expected",
               "return np.exp((p * np.log(np.where(p > 0, p, 1))).sum())":
               "the perplexity: expected 5, found 0.2",
               "return 2 ** -(p * np.log(np.where(p > 0, p, 1))).sum()":
               "the perplexity: expected 5, found 3."})
def perplexity(p):
    return float(losses.perplexity(p))


RESTART = "models.moving_codes.restart"


def unchanged(restart, *inputs):
    before = [np.copy(v) for v in inputs]
    found = restart(*inputs)
    if not all(map(np.array_equal, before, inputs)):
        raise Wrong("restart(e, m, N_k, ...): it changes an input itself; begin with a copy")
    return found


@answer(f"{RESTART}: model.e", f"{RESTART}: model.m", f"{RESTART}: model.N", tensors=True,
        swap={"model.N.data[...]": "N_k", "model.N.data": "N_k", "model.m.data[...]": "m",
              "model.m.data": "m", "model.e.data[...]": "e", "model.e.data": "e",
              "unused[:, 0]": "N_k < least", "unused": "(N_k < least)[:, None]"},
        then="return e, m, N_k", returns=("e", "m", "N_k"), measure=unchanged,
        cases=[dict(e=N(4, 2), m=N(4, 2), N_k=np.array([5.0, 0.1, 1, 0.5]), chosen=N(4, 2),
                    least=1.0, N=3.0)],
        hint="unused = (N_k < least)[:, None] is (K, 1); np.where(unused, chosen, e) takes whole "
             "rows.",
        wrong={"unused = (N_k < least)[:, None]\n"
               "return np.where(unused, chosen, e), m, N_k": "m at (",
               "unused = (N_k < least)[:, None]\nreturn (np.where(unused, chosen, e), "
               "np.where(unused, chosen, m), np.where(N_k < least, N, N_k))": "m at (",
               "unused = (N_k > least)[:, None]\nreturn (np.where(unused, chosen, e), "
               "np.where(unused, N * chosen, m), np.where(N_k > least, N, N_k))": "e at (",
               "unused = (N_k <= least)[:, None]\nreturn (np.where(unused, chosen, e), "
               "np.where(unused, N * chosen, m), np.where(N_k <= least, N, N_k))": "e at (2, ",
               "unused = N_k < least\ne[unused] = chosen[unused]\nm[unused] = N * chosen[unused]\n"
               "return e, m, np.where(unused, N, N_k)": "changes an input"})
def restart(e, m, N_k, chosen, least, N):
    e, m, N_k = e.copy(), m.copy(), N_k.copy()
    for k in range(len(e)):
        if N_k[k] < least:
            e[k], m[k], N_k[k] = chosen[k], N * chosen[k], N
    return e, m, N_k


predicted("log_k", "bits_of_the_grid, bits_of_the_pixels, equal, two",
          rtol=1e-3,
          hint="512 is 2^9: nine bits a code, 49 codes. The perplexity counts the codes in use.",
          wrong={"return 438, 6272, 4.0, 2.0": "bits_of_the_grid: expected 441, found 438",
                 "return 441, 784, 4.0, 2.0": "bits_of_the_pixels",
                 "return 441, 6272, 1.386, 0.693": "equal: expected 4, found 1.386"})
