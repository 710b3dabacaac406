"""Outputs beside the targets and beside the Bayes predictor's, in one pass over memory instead of nine."""

from learning_to_learn.compiled import compiled, prange


@compiled(parallel=True)
def compare(outputs, targets, best, length, first, threshold, curves, excess, steps):
    """Add up the errors of outputs [R, N, S], of streams of S / length sequences, from the `first` sequence of each stream on.

    targets [N, S], best [M, S]; into curves [R, length] the squared errors, into excess [R, M kept] the squared differences to
    `best`, into steps [R, N kept] the cycle from which on the squared error is at most the threshold.
    """
    streams, cycles = targets.shape
    for r in prange(outputs.shape[0]):
        sequence = 0
        for n in range(streams):
            for start in range(first * length, cycles, length):
                above = 0.0
                for t in range(length):
                    error = outputs[r, n, start + t] - targets[n, start + t]
                    square = float(error) * float(error)
                    curves[r, t] += square
                    if not square <= threshold:
                        steps[r, sequence] = t + 2
                if n < best.shape[0]:
                    for t in range(length):
                        difference = float(outputs[r, n, start + t] - best[n, start + t])
                        above += difference * difference
                    excess[r, sequence] = above
                sequence += 1
