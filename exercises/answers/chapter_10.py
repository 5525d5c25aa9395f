"""How it is made fast."""

import numpy as np

from scratchnet.fast.microbatches import microbatches

from ..check import N, Wrong, answer, predicted


def weights_of(parts, n, size):
    """How often each image counts, and how many parts there are."""
    counts, found = np.zeros(n), list(parts(n, size))
    for part, weight in found:
        here = counts[part]
        here += weight / max(1, len(here))
    return counts, max(len(np.zeros(n)[part]) for part, _ in found) <= size


@answer("scratchnet.fast.microbatches.microbatches: ends =",
        "scratchnet.fast.microbatches.microbatches: return [(slice(a",
        swap={"shard.start + images": "n", "range(count + 1)": "range(-(-n // size) + 1)",
              "// count": "// -(-n // size)"}, measure=weights_of,
        returns=("what each image counts", "no part is too large"),
        cases=[dict(n=7, size=3), dict(n=6, size=3)],
        hint="A part of n_b images has a mean over n_b; its weight is n_b / n.",
        wrong={"return [(slice(a, min(a + size, n)), size / n) for a in range(0, n, size)]":
               "what each image counts at 6",
               "return [(slice(a, min(a + size, n)), 1.0) for a in range(0, n, size)]":
               "what each image counts at",
               "return [(slice(0, n), 1.0)]": "no part is too large: expected True, found False"})
def unequal_parts(n, size):
    return weights_of(lambda n, size: microbatches(slice(0, n), n, size), n, size)


class Rows:
    """A matrix that gives its rows by slices, a block of at most `most` at a time."""

    def __init__(self, array, most):
        self.array, self.most = array, most
        self.shape, self.dtype, self.ndim, self.size = array.shape, array.dtype, 2, array.size

    def __len__(self):
        return len(self.array)

    def __getitem__(self, k):
        part = self.array[k]
        return self.all() if not isinstance(k, int) and len(part) > self.most else part

    def all(self, *_, **__):
        raise Wrong(f"product(x, g, blocks): all {len(self)} rows were taken at once; a block has "
                    f"{self.most} at most")

    __array__ = __matmul__ = __rmatmul__ = __mul__ = __getattr__ = all


def watched(product, x, g, blocks):
    most = max(part.stop - part.start for part in blocks)
    return product(Rows(x, most), Rows(g, most), blocks)


PRODUCTS = "scratchnet.fast.products.gather_t_matmul"


@answer(*[f"{PRODUCTS}: {line}" for line in ("total = None", "for part in", "return total")],
        swap={"blocks(N, P * Q * T * C)": "blocks", "g[part].reshape(-1, K)": "g[part]",
              "as_matrix(gather(x[part], taps, stride, (P, Q))).reshape(-1, T * C)": "x[part]"},
        measure=watched, returns=("x^T g",),
        cases=[dict(x=N(5, 2), g=N(5, 3), blocks=[slice(0, 2), slice(2, 4), slice(4, 5)])],
        hint="Begin with the first block's product, and add that of each other one.",
        wrong={"return x.T @ g": "all 5 rows were taken at once",
               "for part in blocks:\n    total = x[part].T @ g[part]\nreturn total":
               "It should also depend on x[0, ",
               "return sum(x[part].T @ g[part] for part in blocks[1:])":
               "It should also depend on x[0, ",
               "return np.einsum('nk,nm->km', x, g)": "all 5 rows were taken at once",
               "return np.dot(x.T, g)": "all 5 rows were taken at once",
               "return np.asarray(x).T @ g": "all 5 rows were taken at once",
               "return (x[:, :, None] * g[:, None]).sum(axis=0)": "all 5 rows were taken at once",
               "return sum(g[part].T @ x[part] for part in blocks)":
               "the transpose has the right numbers"})
def blocks(x, g, blocks):
    return np.einsum("nk,nm->km", x, g)


predicted("float64", "by_a_python_number, by_a_numpy_number, by_a_mean, by_noise",
          hint="A Python number takes the precision of the array; a NumPy number has its own. A "
               "mean of float32 is float32; a generator gives float64 unless it is told.",
          wrong={"return 'float64', 'float64', 'float32', 'float64'":
                 "by_a_python_number: expected 'float32', found 'float64'",
                 "return 'float32', 'float32', 'float32', 'float64'":
                 "by_a_numpy_number: expected 'float64'",
                 "return 'float32', 'float64', 'float32', 'float32'":
                 "by_noise: expected 'float64'"})
