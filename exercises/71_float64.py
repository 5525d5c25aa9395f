"""71. A number that makes everything slow (predict)

float64 takes twice the memory and twice the time. Into which of these four results of a
float32 array has it crept? (NumPy 2's rules; write "float32" or "float64".)

    import numpy as np
    x = np.ones(3, np.float32)
    by_a_python_number = str((x * 2.0).dtype)
    by_a_numpy_number = str((x * np.float64(2)).dtype)
    by_a_mean = str((x - x.mean()).dtype)
    by_noise = str((x + np.random.default_rng(0).standard_normal(3)).dtype)

Read docs/10-speed.md, "What goes wrong".
"""


def predict():
    # return by_a_python_number, by_a_numpy_number, by_a_mean, by_noise
    raise NotImplementedError
