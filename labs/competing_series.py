# %% [markdown]
# # Competing objectives: accurate, and quick enough to be used
#
# A sensor sends short series of numbers, a thousand a second, and a program says what each of them shows. A classifier
# that needs too long for that is of no use, however good it is. How does one tell that to a search? This lab tries
# three ways: to let such trials *fail*, to say where the interesting part *begins*, and to say what must be *kept*.
#
# In a terminal: `python labs/competing_series.py`; on a cluster: `ray submit cluster.yaml` and the same file.

# %%
import statistics
import time

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.plots import style

hpo.connect()  # Ray on this machine, or RAY_ADDRESS, or RAY_HEAD_SERVICE_HOST and _PORT

# %% [markdown]
# ## The series
#
# Each has 192 numbers: noise, and somewhere in it a short motif. It is a tone that rises, one that falls, one that
# stays, or one that comes in two bursts. Where it begins, how high it is and how loud changes from series to series.

# %%
LENGTH, MOTIF = 192, 64
KINDS = ("rising", "falling", "steady", "two bursts")


def make_series(num, rng):
    """So many series (num, LENGTH), and which of the kinds each of them shows."""
    kinds = rng.integers(len(KINDS), size=num)
    t = np.linspace(0, 1, MOTIF)
    pitch, phase = rng.uniform(5, 8, (num, 1)), rng.uniform(0, 2 * np.pi, (num, 1))
    slope = np.array([4.0, -4.0, 0.0, 0.0])[kinds][:, None]
    motif = np.sin(2 * np.pi * (pitch * t + slope * (t * t - t) / 2) + phase) * np.sin(np.pi * t)
    motif[kinds == 3] *= np.abs(np.cos(np.pi * t)) ** 2
    X = rng.normal(size=(num, LENGTH)) * 0.35
    begin = rng.integers(LENGTH - MOTIF, size=num)
    X[np.arange(num)[:, None], begin[:, None] + np.arange(MOTIF)] += rng.uniform(0.8, 1.6, (num, 1)) * motif
    return X, kinds


NUM_SERIES = workshop.size(1_200, quick=400)
rng = np.random.default_rng(0)
(X, y), (X_valid, y_valid), (X_test, y_test) = (make_series(num, rng) for num in (NUM_SERIES, 500, 500))

# %%
figure = workshop.figure("One of each kind", x="time", y="signal")
for kind, name in enumerate(KINDS):
    figure.add_scatter(y=X[y == kind][0] + 4 * kind, name=name)
workshop.show(figure, "competing_series_kinds")

# %% [markdown]
# ## Three families of classifiers
#
# * **Neighbours** compare a series with all that are known. Nothing is learned, and everything is done when asked.
# * **Spectra** forget where the motif is: how strong is each frequency? A random forest decides.
# * **Random kernels** slide short random patterns over the series, at several spacings. Of each pattern, two numbers are
#   kept: its largest response, and how often it responds at all. A linear model decides. (This idea is called ROCKET,
#   Dempster, Petitjean and Webb 2020.)
#
# Each family has its own settings, so the space has branches. A series may be thinned first: of two or three
# neighbouring numbers, the mean.

# %%
space = {
    "thinned": hpo.randint(1, 5),
    "model": hpo.choice(
        [
            {"kind": "neighbours", "k": hpo.randint(1, 10), "known": hpo.uniform(0.1, 1.0)},
            {"kind": "spectra", "trees": hpo.lograndint(5, 201), "window": hpo.randint(1, 5)},
            {
                "kind": "kernels",
                "num": hpo.lograndint(8, 201),
                "width": hpo.randint(5, 12),
                "spacings": hpo.randint(1, 4),
            },
        ]
    ),
}


def thinned(X, by):
    """Means of so many neighbouring numbers."""
    length = X.shape[1] // by * by
    return X[:, :length].reshape(len(X), -1, by).mean(axis=2)


def spectra(X, num_windows):
    """The strengths of frequencies, in each of so many windows."""
    windows = np.array_split(X, num_windows, axis=1)
    return np.hstack([np.abs(np.fft.rfft(window, axis=1)) for window in windows])


def responses(X, kernels, spacings):
    """Of each kernel at each spacing: the largest response, and the share of responses above 0."""
    width = kernels.shape[1]
    found = []
    for spacing in 2 ** np.arange(spacings):
        places = np.arange(X.shape[1] - (width - 1) * spacing)[:, None] + spacing * np.arange(width)
        response = X[:, places] @ kernels.T
        # >>> your turn: append response.max(axis=1), and the share of responses (axis 1) that are above 0
        found += [response.max(axis=1), (response > 0).mean(axis=1)]
        # <<<
    return np.hstack(found)


found = responses(np.array([[0.0, 1.0, -1.0, -2.0, 4.0]]), np.array([[1.0, 1.0]]), 1)
assert workshop.is_close(found, [[2, 0.5]]), (
    "of the responses 1, 0, -3 and 2 the largest is 2, and half of them are above 0"
)
assert responses(X[:3], np.ones((5, 7)), 2).shape == (3, 20), "5 kernels at 2 spacings, 2 numbers each"


def fit(config, X, y):
    """A function from series to kinds."""
    options = dict(config["model"])
    kind, by = options.pop("kind"), config["thinned"]
    if kind == "neighbours":
        num = int(options["known"] * len(X))
        model = KNeighborsClassifier(options["k"]).fit(thinned(X[:num], by), y[:num])
        return lambda new: model.predict(thinned(new, by))
    if kind == "spectra":
        forest = RandomForestClassifier(options["trees"], random_state=0)
        forest.fit(spectra(thinned(X, by), options["window"]), y)
        return lambda new: forest.predict(spectra(thinned(new, by), options["window"]))
    kernels = np.random.default_rng(0).normal(size=(options["num"], options["width"]))
    kernels -= kernels.mean(axis=1, keepdims=True)

    def features(series):  # a few series at a time, since responses take much memory
        parts = np.array_split(thinned(series, by), len(series) // 50 + 1)
        return np.vstack([responses(part, kernels, options["spacings"]) for part in parts])

    ridge = RidgeClassifier(10.0).fit(features(X), y)
    return lambda new: ridge.predict(features(new))


# %% [markdown]
# ## Two metrics
#
# The time counts that *predicting* takes, in microseconds for each series: what the processor works, and the median of
# five measurements.


# %%
def microseconds(predict, X, repeats=5):
    """The processor's time for each series: the median of some measurements."""
    took = []
    for _ in range(repeats):
        begin = time.process_time()
        predict(X)
        # >>> your turn: append the microseconds (a second has 1e6) that passed since begin, for each row of X
        took.append(1e6 * (time.process_time() - begin) / len(X))
        # <<<
    return statistics.median(took)


def busy(X):
    """What keeps the processor at work for 10 ms."""
    end = time.process_time() + 0.01
    while time.process_time() < end:
        pass


assert 900 < microseconds(busy, X[:10]) < 5_000, "10 ms for ten series are 1,000 microseconds for each"


def objective(config, X, y, X_valid, y_valid):
    predict = fit(config, X, y)
    return {"accuracy": float(np.mean(predict(X_valid) == y_valid)), "microseconds": microseconds(predict, X_valid)}


data = {"X": X, "y": y, "X_valid": X_valid, "y_valid": y_valid}
with_series = hpo.with_parameters(objective, **data)
settings = {
    "metric": ["accuracy", "microseconds"],
    "mode": ["max", "min"],
    "num_trials": workshop.size(40, quick=15),
    "seed": 0,
    "storage": "memory",
}
everything = hpo.tune(with_series, space, **settings)
front = sorted(everything.best_trials, key=lambda trial: trial.metrics["microseconds"])
print(f"on the front  {len(front)} of {len(everything)}")
for trial in front:
    print(f"  {trial.metrics['microseconds']:7.1f} us  {trial.metrics['accuracy']:.3f}  {dict(trial.config['model'])}")

# %%
workshop.show(everything.plot.pareto(), "competing_series_front")

# %% [markdown]
# ## What is asked for
#
# The program has to be right in at least so many of a hundred cases, and it has only so much time. We take these two
# limits from the front that we have just seen: a classifier is *good enough* if it gives up no more than 0.05 of the
# best accuracy, and *quick enough* if it takes at most one and a half times as long as the quickest one of the front
# that is good enough. So what is asked for exists, but little of the space has it.

# %%
LEAST = front[-1].metrics["accuracy"] - 0.05
MOST = min(trial.metrics["microseconds"] for trial in front if trial.metrics["accuracy"] >= LEAST) * 1.5


def is_wanted(metrics):
    """Whether a classifier is good enough and quick enough."""
    # >>> your turn: accuracy at least LEAST, and microseconds at most MOST
    return metrics["accuracy"] >= LEAST and metrics["microseconds"] <= MOST
    # <<<


assert is_wanted({"accuracy": LEAST, "microseconds": MOST}), "who just keeps both limits should be wanted"
for accuracy, took in ((LEAST - 0.1, MOST), (LEAST, 2 * MOST)):
    assert not is_wanted({"accuracy": accuracy, "microseconds": took}), "who breaks one of the limits should not"
print(f"wanted          accuracy >= {LEAST:.3f} in at most {MOST:.1f} microseconds")
print(f"of the trials   {sum(is_wanted(trial.metrics) for trial in everything)} of {len(everything)} are")

# %% [markdown]
# ## Three ways to say so
#
# **To fail.** Many programs raise an error where a result is not good enough. The search then hears *that* a trial was
# bad, and nothing of how bad, or in which of the two.
#
# **Thresholds.** Both remain goals. What is worse than a threshold is worth nothing to the search, but it is heard, and
# it teaches where the good part is.
#
# **Constraints.** The time is no goal any more, only a limit: among what keeps it, the most accurate wins.


# %%
def or_fail(config, limits, **data):
    """The same objective, which fails unless the classifier is wanted."""
    metrics = objective(config, **data)
    least, most = limits
    if metrics["accuracy"] < least or metrics["microseconds"] > most:
        raise ValueError(f"not good enough: {metrics}")
    return metrics


failing = hpo.tune(hpo.with_parameters(or_fail, limits=(LEAST, MOST), **data), space, **settings)
aimed = hpo.tune(with_series, space, **settings, thresholds={"accuracy": LEAST, "microseconds": MOST})
# >>> your turn: metric="accuracy", mode="max" instead of both, and outcome_constraints=[f"microseconds <= {MOST}"]
one_goal = {**settings, "metric": "accuracy", "mode": "max"}
bounded = hpo.tune(with_series, space, **one_goal, outcome_constraints=[f"microseconds <= {MOST}"])
# <<<
assert [goal.metric for goal in bounded.spec.goals] == ["accuracy"], "accuracy should be the only goal"
limits = [(limit.metric, limit.mode) for limit in bounded.spec.constraints]
assert limits == [("microseconds", "min")], "and microseconds should have an upper limit, as an outcome constraint"

# %%
ways = {"fail": failing, "thresholds": aimed, "constraints": bounded}
wanted, measured = {}, {}
print("way           measured  wanted  most accurate of these")
for way, results in ways.items():
    known = [trial.metrics for trial in results if trial.status == "completed"]
    wanted[way] = [metrics for metrics in known if is_wanted(metrics)]
    measured[way] = len(known)
    best = max((metrics["accuracy"] for metrics in wanted[way]), default=float("nan"))
    print(f"{way:<12}  {len(known):8}  {len(wanted[way]):6}  {best:.3f}")

# %% [markdown]
# A trial that failed is lost to whoever looks back as well: if the limits turn out too strict, the failing search has
# nothing to show, while the other two have a front for every other limit.

# %%
figure = workshop.figure("What each way has measured", x="microseconds for a series", y="accuracy", log_x=True)
for way, results in ways.items():
    known = [trial.metrics for trial in results if trial.status == "completed"]
    figure.add_scatter(
        x=[metrics["microseconds"] for metrics in known],
        y=[metrics["accuracy"] for metrics in known],
        mode="markers",
        name=way,
    )
figure.add_hline(LEAST, line={"color": style.GREY, "dash": "dot"})
figure.add_vline(MOST, line={"color": style.GREY, "dash": "dot"})
workshop.show(figure, "competing_series_ways")

# %% [markdown]
# ## The single winners, and the decision
#
# What would a search for accuracy alone have cost, what one for time alone? They are the ends of the front. We take the
# most accurate classifier of those that are quick enough, out of all that were measured, and try it on new series.

# %%
most_accurate, quickest = front[-1].metrics, front[0].metrics
measured_trials = [trial for results in (everything, aimed, bounded) for trial in results]
quick_enough = [trial for trial in measured_trials if trial.metrics["microseconds"] <= MOST]
# >>> your turn: of the trials quick_enough, the one with the highest accuracy
chosen = max(quick_enough, key=lambda trial: trial.metrics["accuracy"])
# <<<
assert chosen.metrics["microseconds"] <= MOST, "what is chosen should be quick enough"
for trial in quick_enough:
    assert trial.metrics["accuracy"] <= chosen.metrics["accuracy"], "and none of these should be more accurate"
predict = fit(chosen.config, X, y)
on_new_series = float(np.mean(predict(X_test) == y_test))
for name, metrics in (("most accurate", most_accurate), ("quickest", quickest), ("chosen", chosen.metrics)):
    print(f"{name:<14}  accuracy {metrics['accuracy']:.3f} in {metrics['microseconds']:6.1f} microseconds")
print(f"chosen is         {dict(chosen.config)}")
print(f"on new series     {on_new_series:.3f}, {1e6 / microseconds(predict, X_test):,.0f} series a second")

# %% [markdown]
# ## What we claim

# %%
assert len(front) >= 3, "accuracy and time should compete"
assert most_accurate["microseconds"] > 2 * quickest["microseconds"], "the front should span quick and slow"
assert measured["fail"] == len(wanted["fail"]), "a search that fails trials knows the wanted ones only"
assert measured["thresholds"] == measured["constraints"] == settings["num_trials"], "the others know them all"
assert len(wanted["thresholds"]) + len(wanted["constraints"]) > 0, "what is asked for should be found"
assert on_new_series > 0.4, "what was chosen should be better than guessing"

# %% [markdown]
# ## What to take with you
#
# Say what you want in the words that the search understands. A limit is not an error: as a constraint or a threshold
# it keeps what was measured, and the search learns how far a trial was from it.
#
# Questions to try: ask for a little more than can be had. What does each of the three ways tell you then? Measure the
# time by `time.perf_counter()` while something else runs on the machine: what happens to the front?
