"""Monthly sunspot numbers, made up: cycles of eleven years or so, which rise faster than they fall, with noise on top.

The files beside this one import it; nothing is downloaded.
"""

import numpy as np


def monthly_sunspots(num_months=3_300, seed=0):
    """Numbers from 0 to about 300, as they have been counted since 1749."""
    rng = np.random.default_rng(seed)
    numbers = []
    while len(numbers) < num_months:
        months = rng.integers(115, 150)  # of one cycle: 9.5 to 12.5 years
        time = np.arange(months) / months
        shape = (time / 0.35) ** 2 * np.exp(1 - (time / 0.35) ** 2)  # up in four years, down in seven
        numbers.extend(rng.uniform(90, 220) * shape + 4)
    smooth = np.array(numbers[:num_months])
    return np.maximum(0, smooth + rng.normal(scale=3 + 1.2 * np.sqrt(smooth)))


def windows(series, length):
    """Each run of ``length`` numbers (n, length), and the number that follows it (n,)."""
    runs = np.lib.stride_tricks.sliding_window_view(series, length)[:-1]
    return runs, series[length:]
