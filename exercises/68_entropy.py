"""68. What four letters cost (predict)

Letters with the probabilities 1/2, 1/4, 1/8, 1/8. How many bits does one take on average, how many
with a code made for four equally likely ones, and how many with one made for the opposite order?
And how many digits does the message abacabad take, with the one more of arithmetic coding?

    import numpy as np
    p = np.array([1/2, 1/4, 1/8, 1/8])
    best = -(p * np.log2(p)).sum()
    equal = -(p * np.log2(np.array([1/4, 1/4, 1/4, 1/4]))).sum()
    mistaken = -(p * np.log2(np.array([1/8, 1/8, 1/4, 1/2]))).sum()
    digits = 1 + int(sum(-np.log2(p["abcd".index(letter)]) for letter in "abacabad"))

Read docs/09-priors-and-bits.md, (9.2) and (9.3).
"""


def predict():
    # return best, equal, mistaken, digits
    raise NotImplementedError
