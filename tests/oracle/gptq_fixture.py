"""Codes of GPTQ as its paper has it, in double precision: tests/fixtures/quant/gptq.txt.

  python3 tests/oracle/gptq_fixture.py > tests/fixtures/quant/gptq.txt

Independent of nibble: inverts the damped Hessian, takes the Cholesky factor of the inverse and
spreads each column's error over those to come (algorithm 1 of arXiv 2210.17323), where nibble does
LDLQ without an inverse. Inputs and weights are integers of a linear congruential generator, so that
both sides have the same without a file. Blocks of 32 with one scale each, codes -8 .. 7 (Q4_0);
blocks are reached in descending order of their mean diagonal, columns within one likewise.
"""
import numpy as np

ROWS, COLS, TOKENS, BLOCK = 5, 320, 96, 32


class Numbers:
    def __init__(self):
        self.state = 12345

    def next(self, size):
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return (self.state >> 16) % size - size // 2


def inputs(numbers):
    """[tokens, cols], columns correlated with their neighbours and with the first."""
    x = np.zeros((TOKENS, COLS))
    for t in range(TOKENS):
        raw = [numbers.next(17) for _ in range(COLS)]
        for c in range(COLS):
            x[t, c] = raw[c] * (1 + c % 3) + 2 * raw[max(c - 1, 0)] + c % 5 * raw[0]
    return x


def gptq(weights, hessian, scales):
    damped = hessian + 0.01 * np.mean(np.diag(hessian)) * np.eye(COLS)
    diagonal = np.diag(hessian)
    blocks = np.argsort(diagonal.reshape(-1, BLOCK).mean(axis=1), kind="stable")
    order = np.concatenate([b * BLOCK + np.argsort(diagonal[b * BLOCK:][:BLOCK], kind="stable")
                            for b in blocks])[::-1]
    inverse = np.linalg.inv(damped[np.ix_(order, order)])
    upper = np.linalg.cholesky(inverse).T
    w = weights[:, order].copy()
    codes = np.zeros((ROWS, COLS), dtype=int)
    closest = 1.0
    for i, column in enumerate(order):
        d = scales[:, column // BLOCK]
        exact = w[:, i] / d
        rounded = np.floor(exact + 0.5)
        closest = min(closest, np.min(np.abs(np.abs(exact - rounded) - 0.5)))
        q = np.clip(rounded, -8, 7)
        codes[:, column] = q
        error = (w[:, i] - d * q) / upper[i, i]
        w[:, i:] -= np.outer(error, upper[i, i:])
    return codes, closest


def main():
    numbers = Numbers()
    x = inputs(numbers)
    weights = np.array([[numbers.next(2001) for _ in range(COLS)] for _ in range(ROWS)]) / 1024
    largest = np.abs(weights.reshape(ROWS, -1, BLOCK)).max(axis=2)
    scales = (largest / 7).astype(np.float16)
    codes, closest = gptq(weights, x.T @ x, scales.astype(np.float64))
    plain = np.clip(np.floor(weights / np.repeat(scales.astype(float), BLOCK, axis=1) + 0.5), -8, 7)
    print(f"# gptq_fixture.py: {ROWS} rows of {COLS}: scales as bits of half precision, codes + 8.")
    print(f"# {int((plain != codes).sum())} differ from plain rounding; the closest call is "
          f"{closest:.1e} of a step from the middle.")
    for r in range(ROWS):
        print(" ".join(str(b) for b in scales[r].view(np.uint16)))
        print(" ".join(str(c + 8) for c in codes[r]))


if __name__ == "__main__":
    main()
