"""Positive definite systems made from formulas, solved by LAPACK in float64.

The matrices are written again in test/tensor/linalg.test.ts; only results are stored.

    python tools/golden/linalg.py
"""

import numpy as np
import scipy.linalg

from golden_file import write


def markov(n, range_):
    """Kac-Murdock-Szegő matrix: exp(-|i-j|/range)."""
    i = np.arange(n)
    return np.exp(-np.abs(i[:, None] - i[None, :]) / range_)


def hilbert(n):
    i = np.arange(n)
    return 1.0 / (i[:, None] + i[None, :] + 1.0)


def spread(n, condition):
    """Q diag(condition^(-i/(n-1))) Qᵀ with the Householder reflection of v = (1, 2, …, n) as Q."""
    v = np.arange(1, n + 1, dtype=np.float64)
    q = np.eye(n) - 2 * np.outer(v, v) / (v @ v)
    return q @ np.diag(condition ** (-np.arange(n) / (n - 1))) @ q.T


CASES = {
    "markov-1": markov(1, 5),
    "markov-5": markov(5, 5),
    "markov-128": markov(128, 30),
    "markov-300": markov(300, 50),
    "hilbert-6": hilbert(6),
    "spread-200": spread(200, 1e7),
}


def describe(name, matrix):
    n = len(matrix)
    b = np.sin(np.arange(1, n + 1, dtype=np.float64))
    factor = scipy.linalg.cholesky(matrix, lower=False)
    keep = sorted({0, n // 3, n - 1})
    return {
        "name": name,
        "size": n,
        "rows": keep,
        "solution": scipy.linalg.cho_solve((factor, False), b)[keep].tolist(),
        "diagonal": np.diag(factor)[keep].tolist(),
        "lastColumn": factor[keep, n - 1].tolist(),
        "condition": float(np.linalg.cond(matrix, 1)),
    }


if __name__ == "__main__":
    write("linalg", "linalg.py", 0, {"systems": [describe(name, matrix) for name, matrix in CASES.items()]})
