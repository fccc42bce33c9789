"""Golden numbers of the statistics. Written with scipy 1.17.1, numpy 2.4.6; prints, writes nothing."""

import numpy as np
from scipy import stats

for method in ("wilson", "exact"):
    print(method, stats.binomtest(119, 200).proportion_ci(method=method))

print(stats.spearmanr([1, 2, 2, 4], [4, 3, 2, 1]))

bootstrap = dict(n_resamples=1_000_000, method="BCa", rng=0, batch=10_000)
sample = [0.2, 0.5, 0.9, 1.4, 2.0, 3.1, 5.5, 9.0]
print(stats.bootstrap((sample,), np.mean, **bootstrap).confidence_interval)

a, b = [2.1, 2.5, 3.9, 4.4, 7.0], [0.5, 1.5, 1.0, 1.1, 0.2, 2.0]
difference = lambda a, b, axis=-1: np.mean(a, axis=axis) - np.mean(b, axis=axis)
print(stats.bootstrap((a, b), difference, **bootstrap).confidence_interval)
