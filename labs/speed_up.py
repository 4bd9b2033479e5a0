# %% [markdown]
# # Speed-up: the same grid, one after the other and side by side
#
# Trials do not talk to each other. So two workers should need half the time of one. This lab measures whether they
# do, with two algorithms: a filter that predicts sunspots, and a small neural network.
#
# Both are written in the same form, as four functions. `hpo.optml` can tune whatever comes in that form. In a terminal:
# `python labs/speed_up.py`; on a cluster: `ray submit cluster.yaml labs/speed_up.py`.

# %%
import statistics
import time
from types import SimpleNamespace

import numpy as np
import ray

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.plots import style
from raytune_hpo.workshop import network

hpo.connect()  # Ray on this machine, or RAY_ADDRESS, or RAY_HEAD_SERVICE_HOST and _PORT

# %% [markdown]
# ## Four functions
#
# | function | gives |
# |---|---|
# | `generate_data()` | the data; called once, then every worker has them |
# | `initialization(data, hyperparameters)` | a model that has learned nothing |
# | `train(model, data, hyperparameters)` | the trained model |
# | `test_error(model, data)` | a number; the smaller, the better |
#
# Our first algorithm predicts the number of sunspots of a month from the five months before. Nothing is downloaded
# here, so we make the series: cycles of about eleven years that rise faster than they fall, and noise on top.


# %%
def sunspots(num_months, rng):
    """Monthly sunspot numbers, made up."""
    cycles = []
    while sum(map(len, cycles)) < num_months:
        age = np.linspace(0, 1 / 0.35, rng.integers(115, 150))
        cycles.append(4 + rng.uniform(90, 220) * age**2 * np.exp(1 - age**2))
    smooth = np.concatenate(cycles)[:num_months]
    return np.maximum(0, smooth + rng.normal(scale=3 + 1.2 * np.sqrt(smooth)))


series = sunspots(3_300, np.random.default_rng(0))
figure = workshop.figure("The first fifty years", x="month", y="sunspots")
figure.add_scatter(y=series[:600], mode="lines", name="sunspots")
workshop.show(figure, "speed_up_sunspots")

# %% [markdown]
# The filter multiplies the last five numbers $x_t = (d_{t-5}, \dots, d_{t-1})$ with five weights and adds them up:
# $\hat d_t = w^\top x_t$. We write $x_1, x_2, \dots$ as the rows of a matrix.

# %%
LENGTH, TRAINING = 5, 2_500


def generate_data():
    rows = np.lib.stride_tricks.sliding_window_view(series, LENGTH)[:-1]
    following = series[LENGTH:]
    return {
        "train": (rows[:TRAINING], following[:TRAINING]),
        "test": (rows[TRAINING:], following[TRAINING:]),
    }


def initialization(data, hyperparameters):
    return np.zeros(LENGTH)


# %% [markdown]
# ## Least mean squares
#
# The filter learns from one month at a time. It predicts, sees how wrong it was, and moves its weights a little so
# that it would have been less wrong:
#
# $$e_t = d_t - w^\top x_t, \qquad w \leftarrow w + \mu \, e_t \, x_t.$$
#
# The step size $\mu$ is the hyperparameter. Too small, and the filter learns nothing in the time it has. Too large,
# and each step overshoots more than the last: the filter *diverges*.

# %%
PASSES = workshop.size(150, quick=25)


def lms_step(w, x, d, step_size):
    """The weights after one more month."""
    # >>> your turn: the two formulas above; the error first, then the new weights
    error = d - w @ x
    return w + step_size * error * x
    # <<<


found = lms_step(np.array([1.0, 0.0]), np.array([1.0, 2.0]), 4.0, 0.1)
assert workshop.is_close(found, [1.3, 0.6]), (
    "the error is 3, so the weights should move by 0.1 * 3 * (1, 2) from (1, 0)"
)


def train(model, data, hyperparameters):
    with np.errstate(all="ignore"):  # a filter that diverges runs off to infinity
        for _ in range(PASSES):
            for x, d in zip(*data["train"], strict=True):
                model = lms_step(model, x, d, hyperparameters["step_size"])
    return model


# %% [markdown]
# ## The error, and a trap
#
# How much of the ups and downs does the filter miss? One can compare the variance of its mistakes with that of the
# series: 0 is perfect, and 1 is no better than always saying the mean.
#
# $$E = \frac{\operatorname{var}(d - \hat d)}{\operatorname{var}(d)}$$


# %%
def test_error(model, data):
    x, d = data["test"]
    with np.errstate(all="ignore"):
        # >>> your turn: the formula; np.var(...) is a variance, x @ model are all predictions
        return np.var(d - x @ model) / np.var(d)
        # <<<


found = test_error(np.zeros(LENGTH), generate_data())
assert workshop.is_close(found, 1), "a filter that always says 0 should have error 1"
found = test_error(np.ones(1), {"test": (np.array([[1.0], [2.0], [3.0]]), np.array([4.0, 3.0, 2.0]))})
assert workshop.is_close(found, 4), "who says 1, 2, 3 for 4, 3, 2 is wrong by 3, 1, -1, which has 4 times the variance"

# %% [markdown]
# A published grid search used a shortcut. If a filter is good, its predictions vary as much as it explains, so why
# not take what is missing, $1 - \operatorname{var}(\hat d) / \operatorname{var}(d)$? For a good filter this is nearly
# the same number. Let us run each filter over the series once and look at both.

# %%
step_sizes = [digit * 10.0**-power for power in range(9, 4, -1) for digit in (1, 2, 5)] + [1e-4]
print(f"step sizes to try  {len(step_sizes)}")


def once_over(step_size):
    """A filter after a single pass."""
    data, w = generate_data(), np.zeros(LENGTH)
    with np.errstate(all="ignore"):
        for x, d in zip(*data["train"], strict=True):
            w = lms_step(w, x, d, step_size)
    return w


def shortcut_error(model, data):
    x, d = data["test"]
    with np.errstate(all="ignore"):
        return 1 - np.var(x @ model) / np.var(d)


filters = {step_size: once_over(step_size) for step_size in step_sizes}
honest = {s: test_error(w, generate_data()) for s, w in filters.items()}
shortcut = {s: shortcut_error(w, generate_data()) for s, w in filters.items()}
for s in step_sizes:
    print(f"step size {s:.0e}  error {honest[s]:10.3g}  shortcut {shortcut[s]:10.3g}")

# %% [markdown]
# Now choose the smallest, as a search does. (`nan` means that the numbers became too large for the computer.)


# %%
def smallest(errors):
    """The step size of the smallest error that is a finite number."""
    # >>> your turn: leave out what is not np.isfinite, then min(..., key=errors.get)
    return min((s for s in errors if np.isfinite(errors[s])), key=errors.get)
    # <<<


made_up = {0.1: np.nan, 0.2: 0.5, 0.3: 0.4, 0.4: -np.inf}
assert smallest(made_up) == 0.3, "of the errors nan, 0.5, 0.4 and -inf, 0.4 is the smallest that is a number"
print(f"chosen by the error     {smallest(honest):.0e}, which is honestly {honest[smallest(honest)]:.3g}")
print(f"chosen by the shortcut  {smallest(shortcut):.0e}, which is honestly {honest[smallest(shortcut)]:.3g}")

# %% [markdown]
# The shortcut chose a filter that has *diverged*: its predictions vary enormously, so the shortcut is enormously
# negative, and no number is smaller. The search did what it was told.
#
# There are two cures, and we take both. The metric must be bad when the result is bad. And a search should know which
# values make sense: a trial whose error lies outside of `valid_range` has **failed**, and a failed trial never wins.

# %% [markdown]
# ## One after the other, then side by side
#
# `hpo.optml.tune` generates the data once and then tries all sixteen step sizes twice: in a loop on one core, and on
# as many workers as the cluster has room for.

# %%
lms = hpo.optml.Algorithm(
    name="lms",
    generate_data=generate_data,
    initialization=initialization,
    train=train,
    test_error=test_error,
    valid_range=(0, 1),
)
grid = [{"step_size": s} for s in step_sizes]
print(f"room for workers       {ray.cluster_resources()['CPU']:.0f}")
cpu_s = time.process_time()
by_lms = hpo.optml.tune(lms, grid, storage="memory", progress=False)
cpu_s = time.process_time() - cpu_s  # of this notebook, which did the serial part
print(by_lms)

# %%
done = [trial for trial in by_lms.results if trial.status == "completed"]
diverged = [trial for trial in by_lms.results if trial.status == "failed"]
print(f"best step size         {by_lms.best_config['step_size']:.0e}")
print(f"filters that diverged  {len(diverged)}")
figure = workshop.figure("Sixteen filters", x="step size", y="error", log_x=True)
figure.add_scatter(
    x=[t.config["step_size"] for t in done],
    y=[t.metrics["error"] for t in done],
    mode="lines+markers",
    name=f"after {PASSES} passes",
)
early = [s for s in step_sizes if np.isfinite(honest[s]) and honest[s] < 1]
figure.add_scatter(x=early, y=[honest[s] for s in early], mode="lines+markers", name="after one")
figure.add_scatter(
    x=[t.config["step_size"] for t in diverged],
    y=[1] * len(diverged),  # they have no error; 1 is what knows nothing gets
    mode="markers",
    name="diverged",
    marker={"symbol": "x", "size": 10, "color": style.RED},
)
figure.update_xaxes(tickformat=".0e", dtick=1)
workshop.show(figure, "speed_up_filters")

# %% [markdown]
# Small steps need patience: after a single pass they have learned little, after many passes they are as good as any.
# Large steps are good at once, until they are too large.

# %% [markdown]
# ## The speed-up
#
# With $T_1$ seconds one after the other and $T_n$ seconds on $n$ workers, the *speed-up* is
#
# $$S = T_1 / T_n.$$
#
# It would be $n$ if nothing else took time. But workers have to be started, and at the end one of them works on the
# last trial while the others have nothing to do. So we look at two numbers: with the start of the workers, and
# without.


# %%
def speed_ups(comparison):
    """Of the whole run, and without the time it took to start the workers."""
    serial, parallel = comparison.serial, comparison.parallel
    # >>> your turn: the seconds of one by those of the other: serial.seconds, parallel.seconds
    whole = serial.seconds / parallel.seconds
    # <<<
    # >>> your turn: the same without .start_s, which is part of .seconds
    working = (serial.seconds - serial.start_s) / (parallel.seconds - parallel.start_s)
    # <<<
    return whole, working


ten, six = SimpleNamespace(seconds=10, start_s=1), SimpleNamespace(seconds=6, start_s=3)
found = speed_ups(SimpleNamespace(serial=ten, parallel=six))
assert workshop.is_close(found, (10 / 6, 9 / 3)), "10 s by 6 s; and 9 s by 3 s, where the starts took 1 s and 3 s"

lms_whole, lms_working = speed_ups(by_lms)
print(f"workers                    {by_lms.parallel.num_workers}")
print(f"speed-up, all in all       {lms_whole:.2f}")
print(f"speed-up, once they work   {lms_working:.2f}")

# %% [markdown]
# Less than you hoped for? There are two possible reasons, and we can tell them apart. Either the workers had nothing
# to do for some of the time. Or each trial took longer than it did alone, because something else used the same cores.
#
# $$\text{at work} = \frac{\text{sum of the durations}}{\text{last end} - \text{first begin}}, \qquad
# \text{slowed} = \frac{\text{sum of the durations, in parallel}}{\text{sum of the durations, serially}}.$$
#
# The speed-up is about the first divided by the second. And who slows them? If the serial part got much less than one
# second of CPU time in a second, it is somebody else.


# %%
def at_work(results):
    """How many trials were being worked on, averaged over time."""
    begin = min(trial.started_at for trial in results)
    end = max(trial.started_at + trial.duration_s for trial in results)
    # >>> your turn: the first formula; a trial has .duration_s
    return sum(trial.duration_s for trial in results) / (end - begin)
    # <<<


two = [SimpleNamespace(started_at=at, duration_s=took) for at, took in ((0, 2), (1, 3))]
assert at_work(two) == 5 / 4, "trials that take 2 s and 3 s, all in 4 s, should be 1.25 at work"


def most_at_once(results):
    """How many trials were being worked on at the same moment, at most."""
    spans = [(trial.started_at, trial.started_at + trial.duration_s) for trial in results]
    return max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)


def total_s(results):
    return sum(trial.duration_s for trial in results)


slowed = total_s(by_lms.parallel.results) / total_s(by_lms.serial.results)
print(f"at work, serially          {at_work(by_lms.serial.results):.2f}")
print(f"at work, in parallel       {at_work(by_lms.parallel.results):.2f}")
print(f"most at once, in parallel  {most_at_once(by_lms.parallel.results)}")
share = cpu_s / by_lms.serial.seconds
print(f"each trial slowed          {slowed:.2f}")
print(f"share of a CPU, serially   {share:.2f}")

# %% [markdown]
# When was each worker busy? Every trial is a bar.


# %%
def timeline(comparison, title):
    """A bar for each trial, a row for each worker."""
    figure = workshop.figure(title, x="seconds", y="", height=300)
    for way in ("serial", "parallel"):
        trials = list(getattr(comparison, way).results)
        begin = min(trial.started_at for trial in trials)
        workers = list(dict.fromkeys(trial.worker for trial in trials))  # in the order in which they began
        figure.add_bar(
            orientation="h",
            base=[trial.started_at - begin for trial in trials],
            x=[trial.duration_s for trial in trials],
            y=[f"{way}, worker {workers.index(trial.worker) + 1}" for trial in trials],
            name=way,
            marker={"line": {"color": "white", "width": 1}},
        )
    figure.update_layout(barmode="overlay", showlegend=False)
    figure.update_yaxes(autorange="reversed")  # the first row on top
    return figure


workshop.show(timeline(by_lms, "Sixteen filters, one after the other and side by side"), "speed_up_lms")

# %% [markdown]
# ## A network in the same form
#
# The second algorithm is a network with one hidden layer that reads handwritten digits. Its grid has four learning
# rates and five widths of the hidden layer. It is the same four functions again, so the same call tunes it.

# %%
EPOCHS, BATCH = workshop.size(150, quick=20), 32


def digits():
    X, y, X_test, y_test = network.digits()
    return {"train": (X, y), "test": (X_test, y_test)}


def new_network(data, hyperparameters):
    return network.initial(hyperparameters["width"], np.random.default_rng(0))


def train_network(model, data, hyperparameters):
    X, y = data["train"]
    rng = np.random.default_rng(1)
    with np.errstate(all="ignore"):
        for _ in range(EPOCHS):
            for batch in np.array_split(rng.permutation(len(y)), len(y) // BATCH):
                slopes = network.gradient(model, X[batch], y[batch])
                model = [w - hyperparameters["learning_rate"] * slope for w, slope in zip(model, slopes, strict=True)]
    return model


def share_misread(model, data):
    if not all(np.isfinite(weights).all() for weights in model):
        return np.nan  # it diverged, and whatever it reads is no result
    return 1 - network.accuracy(model, *data["test"])


# >>> your turn: an hpo.optml.Algorithm of these four functions, as above; an error is between 0 and 1
one_hidden_layer = hpo.optml.Algorithm(
    name="one_hidden_layer",
    generate_data=digits,
    initialization=new_network,
    train=train_network,
    test_error=share_misread,
    valid_range=(0, 1),
)
# <<<
lists = {
    "learning_rate": hpo.ordinal([0.01, 0.1, 1.0, 100.0]),
    "width": hpo.ordinal([8, 16, 32, 64, 128]),
}
by_network = hpo.optml.tune(one_hidden_layer, lists, storage="memory", progress=False)
print(by_network)

# %%
network_whole, network_working = speed_ups(by_network)
print(f"best network               {by_network.best_config}, error {by_network.best_error:.3f}")
print(f"speed-up, all in all       {network_whole:.2f}")
print(f"speed-up, once they work   {network_working:.2f}")
workshop.show(timeline(by_network, "Twenty networks, one after the other and side by side"), "speed_up_network")

# %% [markdown]
# The wide networks take longest. Where a long trial comes last, the other worker waits: that is what the end of the
# picture shows. With many trials this hardly matters.
#
# ## Two factors that multiply
#
# More workers are one way to be quicker. A search that needs fewer trials is another. Do the two gains multiply? To see
# it clearly we need many workers and many repeats, so we let time pass on a *virtual clock*: `hpo.simulate` runs a study
# of which each trial says how long it took, here a minute, and takes no time in fact. The error is made up. It is
# smallest at a learning rate of 0.01, a momentum of 0.8 and a width of 64. We ask for the minutes until it is below 0.025.


# %%
def a_minute(config):
    """The error of a made-up training, and the virtual seconds it took."""
    off = np.array(
        [
            (np.log10(config["learning_rate"]) + 2) / 0.5,
            (config["momentum"] - 0.8) / 0.15,
            np.log2(config["width"]) - 6,
        ]
    )
    return {"error": 0.02 + 0.01 * (off**2).sum(), "cost_s": 60.0}


values = {
    "learning_rate": hpo.grid_search(list(np.logspace(-5, 0, 10))),
    "momentum": hpo.grid_search(list(np.linspace(0, 0.95, 8))),
    "width": hpo.grid_search([8, 16, 32, 64, 128, 256]),
}
ranges = {
    "learning_rate": hpo.loguniform(1e-5, 1.0),
    "momentum": hpo.uniform(0.0, 0.95),
    "width": hpo.lograndint(8, 257),
}


def minutes(space, num_workers, seed, **settings):
    """Virtual minutes until a trial was good enough."""
    results = hpo.simulate(
        a_minute,
        space,
        num_workers=num_workers,
        metric="error",
        target=0.025,
        seed=seed,
        **settings,
    )
    best = results.best_trial
    return (best.started_at + best.duration_s - min(trial.started_at for trial in results)) / 60


MANY = 8
took = {}
for num_workers in (1, MANY):
    took["grid", num_workers] = minutes(values, num_workers, 0, sampler="grid")
    by_tpe = [minutes(ranges, num_workers, seed, sampler="tpe", num_trials=480) for seed in range(9)]
    took["tpe", num_workers] = statistics.median(by_tpe)
gain = {way: took["grid", 1] / needed for way, needed in took.items()}
print("search  workers  minutes  times as fast")
for (search, num_workers), needed in took.items():
    print(f"{search:<6}  {num_workers:7}  {needed:7.0f}  {gain[search, num_workers]:13.1f}")
print(
    f"hardware times search  {gain['grid', MANY]:.1f} x {gain['tpe', 1]:.1f} = {gain['grid', MANY] * gain['tpe', 1]:.1f}"
)

# %% [markdown]
# They multiply, nearly. Nearly, because a search that learns chooses better when it waits for results, and eight workers
# at a time do not wait. The grid does not care, as it learns nothing anyway.
#
# ## What we claim

# %%
assert shortcut[smallest(shortcut)] < -1e3 < 0 < honest[smallest(honest)], "the shortcut should fall for divergence"
assert len(diverged) >= 3, "the largest step sizes should have failed"
assert by_lms.best_error < 0.1, "the winner should be a filter that predicts"
assert by_lms.differing == (), "both ways should find the same errors"
assert at_work(by_lms.serial.results) <= 1.001, "one after the other means one at a time"
assert most_at_once(by_lms.serial.results) == 1 < most_at_once(by_lms.parallel.results), (
    "workers should work side by side"
)
explained = at_work(by_lms.parallel.results) / slowed  # true however busy the machine is
assert lms_working < 1.5 * explained, "the speed-up should be no more than the trials at work, divided by how they slow"
assert gain["grid", MANY] == MANY, "eight workers should go through a grid eight times as fast"
assert gain["tpe", 1] > 4, "a search that learns should need far fewer trials than a grid"
assert gain["tpe", MANY] > 2 * max(gain["grid", MANY], gain["tpe", 1]), "both together should gain more than either"
assert gain["tpe", MANY] < 1.2 * gain["grid", MANY] * gain["tpe", 1], "and not more than their product"

# %% [markdown]
# ## What to take with you
#
# Independent trials can be done side by side, and on a cluster of many machines the same call is that many times
# quicker. What limits the gain is starting the workers, the last trial, and what the trials share: two cores cannot do
# the work of three. A search that needs fewer trials gains another factor, and the two nearly multiply. A metric that is
# good for nonsense will be optimised into nonsense, so say which values are valid.
#
# Questions to try: what becomes of the speed-up with `workers=1`? With `workers=4` on two cores? With `PASSES = 1`,
# and why?
#
# The same from a terminal, with an algorithm and its parameters in files of their own:
# `raytune-hpo optml labs/optml/lms.py labs/optml/lms.txt`.
