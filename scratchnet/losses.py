"""Losses: each elementwise formula and its derivative, then a reduction.

`reduction` says what becomes of the elements' losses; N is the length of axis 0
(1 of a single number):

    "none"       nothing: an array of losses
    "sum"        their sum
    "mean"       their sum / their number
    "batchmean"  their sum / N: summed over pixels, averaged over images

"batchmean" is the default of all: -log p of an image is the sum over its pixels, a KL the sum over
its dimensions, so what the losses give are the terms of an ELBO, and may be added. A mean over
pixels beside a sum over dimensions weighs the KL 784 times too much, and the posterior collapses:
docs/mistakes.md. Where an image has one loss, that of its class, "batchmean" is the mean.

docs/02-cross-entropy.md derives the two cross-entropies, docs/06-vae.md the likelihoods and the KL,
docs/07-vqvae.md the perplexity, docs/08-pixelcnn.md the mixture.
"""

from .backend import fused, xp
from .inputs import floats, in_unit_range, integers, operands, require, shapes
from .ops.elementwise import clip, exp, sigmoid_of, softplus, softplus_of, tanh
from .ops.reductions import largest, log_softmax, logsumexp
from .ops.shapes import split, stack
from .tensor import record

REDUCTIONS = {
    "none": lambda losses: losses,
    "sum": lambda losses: losses.sum(),
    "mean": lambda losses: losses.mean(),
    "batchmean": lambda losses: losses.sum() / (losses.shape or (1,))[0],
}


def reduce(losses, reduction):
    """Apply one of REDUCTIONS to a Tensor of losses; ValueError for another name."""
    require(reduction in REDUCTIONS,
            "unknown reduction {!r}: choose one of none, sum, mean, batchmean", reduction)
    return REDUCTIONS[reduction](losses)


def mse(x_hat, x, reduction="batchmean"):
    """Squared error (x_hat - x)^2 of two Tensors of one shape, reduced (see above).

    dL/dx_hat = 2 g (x_hat - x),   dL/dx = -2 g (x_hat - x).
    Raises ValueError if the shapes differ: broadcasting here is nearly always a mistake.
    """
    x_hat, x = operands(x_hat, x)
    shapes("mse: x_hat (...), x (...), of one shape", x_hat, x)
    difference = x_hat.data - x.data
    def dx_hat(g): return 2 * g * difference
    def dx(g): return -2 * g * difference
    return reduce(record(difference * difference, (x_hat, dx_hat), (x, dx)), reduction)


def bce_with_logits(logits, targets, reduction="batchmean"):
    """Binary cross-entropy -[t log p + (1 - t) log(1 - p)], p = sigmoid(l), reduced (see above).

    logits, targets: one shape; targets in [0, 1]. In nats. Binary targets make it
    -log Bernoulli(t; p), a likelihood; grey ones a loss only.

    With log p = -softplus(-l), log(1 - p) = -softplus(l) and softplus(-l) = softplus(l) - l:
        y = softplus(l) - l t = max(l, 0) - l t + log(1 + e^-|l|),
    finite for every finite l, and right to its last digits where p is near t: the first two terms
    are then 0.   dL/dl = g (sigmoid(l) - t),   dL/dt = -g l.
    Raises ValueError if the shapes differ or a target is outside [0, 1] (tested on the host only:
    asking a GPU would wait for it).
    """
    logits, targets = operands(logits, targets)
    shapes("bce_with_logits: logits (...), targets (...), of one shape", logits, targets)
    in_unit_range("bce_with_logits: targets", targets.data)
    def dlogits(g): return bce_slope(g, logits.data, targets.data)
    def dtargets(g): return -g * logits.data
    y = bce_of(logits.data, targets.data)
    return reduce(record(y, (logits, dlogits), (targets, dtargets)), reduction)


@fused
def bce_of(logits, t):
    return xp.maximum(logits, 0) - logits * t + xp.log1p(xp.exp(-xp.abs(logits)))


@fused
def bce_slope(g, logits, t):
    return g * (sigmoid_of(logits) - t)


def softmax_cross_entropy(logits, labels, reduction="batchmean"):
    """-log softmax(logits)[label] along the last axis, in nats, reduced (see above).

    logits: (..., K); labels: integers 0 .. K-1, shape (...). The losses have shape (...).
        y = logsumexp(z) - z[label] = log sum e^(z - m) - (z[label] - m),   m = max z,
        dL/dz_k = g (softmax(z)_k - [k = label]),   z the logits.
    Raises TypeError, ValueError or IndexError for labels of another type, shape or range (the
    last on the host only).
    """
    logits = floats(logits)
    shapes("softmax_cross_entropy: logits (..., K)", logits)
    K = logits.shape[-1]
    labels = integers("softmax_cross_entropy: labels", labels, K, "classes")
    shapes("softmax_cross_entropy: logits (..., K), labels (...)", logits, labels)
    z = logits.data.reshape(labels.size, K)
    chosen = xp.arange(labels.size), labels.reshape(-1)  # z[chosen] is z[label], for every row
    m = largest(z, -1)
    sum_ = xp.exp(z - m).sum(axis=-1, keepdims=True)
    y = xp.log(sum_[:, 0]) - (z[chosen] - m[:, 0])
    def dlogits(g):
        d = z - m
        xp.exp(d, out=d)  # in place: logits are a model's largest arrays
        d *= g.reshape(-1, 1) / sum_
        d[chosen] -= g.reshape(-1)
        return d.reshape(logits.shape)
    return reduce(record(y.reshape(labels.shape), (logits, dlogits)), reduction)


def gaussian_kl(mu, log_var, reduction="batchmean"):
    """KL( N(mu, e^log_var) || N(0, 1) ) in nats for each latent dimension, reduced (see above).

        y = (mu^2 + e^log_var - 1 - log_var) / 2
        dL/dmu = g mu,   dL/dlog_var = g (e^log_var - 1) / 2
    mu, log_var: one shape, (N, z_dim). Derived in docs/06-vae.md.
    Source: Kingma & Welling 2013, appendix B.
    Raises ValueError if the shapes differ.
    """
    mu, log_var = operands(mu, log_var)
    shapes("gaussian_kl: mu (...), log_var (...), of one shape", mu, log_var)
    def dmu(g): return g * mu.data
    def dlog_var(g): return kl_slope(g, log_var.data)
    y = kl_of(mu.data, log_var.data)
    return reduce(record(y, (mu, dmu), (log_var, dlog_var)), reduction)


@fused
def kl_of(mu, log_var):
    return 0.5 * (mu * mu + xp.expm1(log_var) - log_var)


@fused
def kl_slope(g, log_var):
    return 0.5 * g * xp.expm1(log_var)


def discretised_logistic(mean, log_scale, x, reduction="batchmean", levels=256):
    """-log P(x) in nats of pixels that take L levels 0, d, 2d, ..., 1, reduced (see above).

    P is the mass that a logistic distribution with this mean and scale s = e^log_scale has in
    x's bin, half a step d = 1/(L - 1) to either side; the outermost bins reach to infinity:

        P = sigmoid(a) - sigmoid(b),   a = (x - mean + d/2) / s,   b = (x - mean - d/2) / s

    written so that nothing underflows, with softplus(v) = log(1 + e^v) and w = a - b = d/s:

        -log P = softplus(-a) + softplus(b) - log(1 - e^-w)     (0 < x < 1)
        -log P = softplus(-a) at x = 0,   softplus(b) at x = 1

    Since da/dmean = db/dmean = -1/s, dw/dmean = 0, and d/dlog_scale of a, b, w is -a, -b, -w:

        dL/dmean = g (sigmoid(-a) - sigmoid(b)) / s
        dL/dlog_scale = g (a sigmoid(-a) - b sigmoid(b) + w / (e^w - 1))

    without the terms that are missing above (docs/06-vae.md). All arrays have one shape.
    Source: Salimans et al. 2017 (1701.05517), section 2.1. Raises ValueError if shapes differ or
    x is outside [0, 1] (tested on the host only).
    """
    mean, log_scale = operands(mean, log_scale)
    x = operands(x, mean)[0].data  # in the dtype of mean; no derivative for x
    shapes("discretised_logistic: mean (...), log_scale (...), x (...), of one shape", mean,
           log_scale, x)
    in_unit_range("discretised_logistic: targets", x)
    d, inverse_s = 1 / (levels - 1), xp.exp(-log_scale.data)
    a, b = (x - mean.data + d / 2) * inverse_s, (x - mean.data - d / 2) * inverse_s
    lowest, highest = x < d / 2, x > 1 - d / 2
    w = d * inverse_s
    y = (xp.where(highest, 0, softplus_of(-a)) + xp.where(lowest, 0, softplus_of(b))
         - xp.where(lowest | highest, 0, log_of_rest(w)))
    def above(): return xp.where(highest, 0, sigmoid_of(-a))
    def below(): return xp.where(lowest, 0, sigmoid_of(b))
    def dmean(g): return g * (above() - below()) * inverse_s
    def dlog_scale(g):
        between = xp.where(lowest | highest, 0, w * xp.exp(-w) / -xp.expm1(-w))  # w / (e^w - 1)
        return g * (a * above() - b * below() + between)
    return reduce(record(y, (mean, dmean), (log_scale, dlog_scale)), reduction)


def logistic_image(mean, log_scale):
    """E[clip(x, 0, 1)] for a logistic x; the width of the bins is neglected. mean, log_scale and
    the result: one shape.

        E[x] = integral of P(x > t) from 0 to 1 = s (softplus(mean/s) - softplus((mean - 1)/s))
    """
    s = exp(log_scale)
    return s * (softplus(mean / s) - softplus((mean - 1) / s))


@fused
def log_of_rest(w):
    """log(1 - e^-w) for w > 0. Where e^-w is near 1 the digits are in e^-w - 1; where it is near 0,
    in e^-w itself."""
    return xp.where(w < 0.7, xp.log(-xp.expm1(-w)), xp.log1p(-xp.exp(-w)))


def logistic_mixture(y, x, reduction="batchmean", levels=256):
    """-log P(x) in nats of pixels of C channels that take L levels 0, 1/(L - 1), ..., 1, reduced
    (see above): a mixture of K discretised logistics, whose channels choose one component together.

        P(x) = sum over k of  pi_k  product over c of  P(x_c; mean_ck, log_scale_ck)
        mean_ck = m_ck + sum over earlier channels j < c of  a_cjk (x_j - 1/2)

    x: (..., C); y: (..., mixture_size(K, C)), cut into pi, m, log_scale and a by mixture_parts; the
    losses are (...). In logarithms:  -log P(x) = -logsumexp_k(log pi_k + log P_k(x)).
    The derivative is that of these ops: component k gets the part pi_k P_k(x) / P(x) of g.
    A softmax over 256 levels takes 768 numbers for a pixel of three channels, this 100 with K = 10,
    and 127 lies between 126 and 128 from the start.
    Source: Salimans et al. 2017 (1701.05517), sections 2.1 and 2.2. Raises ValueError for a y that
    cannot be cut so, and as discretised_logistic does.
    """
    y, x = floats(y), floats(x).data
    C = x.shape[-1]
    shapes("logistic_mixture: y (..., numbers), x (..., C)", y, x)
    log_pi, m, log_scale, a = mixture_parts(y, C)
    earlier = [x[..., c, None] for c in range(C)]
    mean = stack([mixture_mean(m, a, earlier[:c]) for c in range(C)], axis=-2)
    x = xp.broadcast_to(x[..., None], mean.shape)
    nll = discretised_logistic(mean, log_scale, x, "none", levels).sum(axis=-2)
    return reduce(-logsumexp(log_pi - nll, axis=-1), reduction)


def mixture_size(K, C):
    """How many numbers describe a pixel: K log-weights, means and log-scales of C channels, and a
    coefficient for each pair of channels."""
    return K * (1 + 2 * C + C * (C - 1) // 2)


def mixture_parts(y, C):
    """y (..., mixture_size(K, C)) -> log pi (..., K), m and log_scale (..., C, K), a (..., pairs,
    K), the pairs (c, j) in the order (1, 0), (2, 0), (2, 1). A y of 0 is grey: see from_grey; a is
    kept within (-1, 1). Raises ValueError for a y of another length."""
    of_each = mixture_size(1, C)
    K, rest = divmod(y.shape[-1], of_each)
    require(K and not rest, "logistic_mixture: {} numbers for a pixel of {} channels: needs a "
            "multiple of {}", y.shape[-1], C, of_each)
    y = y.reshape(*y.shape[:-1], of_each, K)
    log_pi, m, log_scale, a = split(y, [1, C, C, of_each - 1 - 2 * C], axis=-2)
    return log_softmax(log_pi.reshape(*y.shape[:-2], K), axis=-1), *from_grey(m, log_scale), tanh(a)


def from_grey(m, log_scale):
    """(mean, log-scale within [-7, 3]) of a logistic; 0 and 0 are grey, give or take e^-2 = 0.14:
    about what images are before anything is learned."""
    return m + 0.5, clip(log_scale - 2, -7, 3)


def mixture_image(y, C):
    """The mean of a mixture's pixels, (..., C) in [0, 1], from y as in logistic_mixture:

        E[x_c] = sum_k pi_k E_k[x_c],   E_k[x_c] = logistic_image(mean_ck, log_scale_ck)

    a channel after the other, with E_k[x_j] in the place of x_j in mean_ck: exact for the first."""
    log_pi, m, log_scale, a = mixture_parts(y, C)
    means = []
    for c in range(C):
        means.append(logistic_image(mixture_mean(m, a, means), log_scale[..., c, :]))
    return (stack(means, axis=-2) * exp(log_pi)[..., None, :]).sum(axis=-1)


def mixture_mean(m, a, earlier):
    """Of the next channel, (..., K), given those before it, each (..., 1) or (..., K)."""
    c = len(earlier)
    mean, first = m[..., c, :], c * (c - 1) // 2
    for j, x in enumerate(earlier):
        mean = mean + a[..., first + j, :] * (x - 0.5)
    return mean


def perplexity(usage):
    """exp(-sum p log p) of a distribution p, an array (K,); no loss: how many codes it uses, were
    all used equally.

    p log p is 0 at p = 0, its limit there: log 1 = 0 stands in for log 0. An array, on the device.
    """
    log_p = xp.log(xp.where(usage > 0, usage, 1))
    return xp.exp(-(usage * log_p).sum())
