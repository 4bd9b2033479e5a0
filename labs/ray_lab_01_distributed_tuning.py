# %% [markdown]
# # Ray lab 01: distributed tuning
#
# Ten networks are trained on a cluster, each to its end. Then twenty, of which the hopeless ones are stopped early.
# Then twenty more, which are not drawn blindly but proposed by a model of what was learned so far. Twice the trials
# should take nothing like twice the time.
#
# In a terminal: `python labs/ray_lab_01_distributed_tuning.py`; on a cluster: `ray submit cluster.yaml` and the same
# file.

# %%
import time

import numpy as np

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.workshop import network

hpo.connect()  # Ray on this machine, or RAY_ADDRESS, or RAY_HEAD_SERVICE_HOST and _PORT

# %% [markdown]
# ## What is trained
#
# A network with one hidden layer reads handwritten digits. It learns by *stochastic gradient descent with momentum*:
# for a small batch of pictures it computes the gradient $g$ of its error, and moves its weights $w$ against it. The
# move $v$ keeps a part $\beta$ of the move before:
#
# $$v \leftarrow \beta v - \eta \, g, \qquad w \leftarrow w + v.$$
#
# The learning rate $\eta$, the momentum $\beta$ and the width of the hidden layer are the hyperparameters.

# %%
X, y, X_valid, y_valid = network.digits()
EPOCHS, BATCH = workshop.size(54, quick=9), 16


def move(w, v, g, learning_rate, momentum):
    """The new weights and the new move."""
    # >>> your turn: the two formulas; the move first
    v = momentum * v - learning_rate * g
    return w + v, v
    # <<<


assert workshop.is_close(move(1.0, 2.0, 4.0, 0.1, 0.5), (1.6, 0.6)), (
    "the new move should be 0.6, and the new weight 1.0 + 0.6"
)

# %% [markdown]
# ## An objective that reports
#
# A scheduler can stop a trial only if it knows how it is doing. So after every *epoch*, which is one pass over the
# pictures, the objective reports its accuracy so far. Nothing else changes: if the trial is hopeless, it ends in that
# line.


# %%
def objective(config, X, y, X_valid, y_valid):
    rng = np.random.default_rng(0)
    weights = network.initial(config["width"], rng)
    moves = [np.zeros_like(w) for w in weights]
    for epoch in range(1, EPOCHS + 1):
        for batch in np.array_split(rng.permutation(len(y)), len(y) // BATCH):
            with np.errstate(all="ignore"):  # a learning rate that is too large ends in NaN and infinity
                slopes = network.gradient(weights, X[batch], y[batch])
                moved = [
                    move(w, v, g, config["learning_rate"], config["momentum"])
                    for w, v, g in zip(weights, moves, slopes, strict=True)
                ]
            weights, moves = [w for w, _ in moved], [v for _, v in moved]
        accuracy = network.accuracy(weights, X_valid, y_valid)
        # >>> your turn: report the accuracy, and the epoch as the step
        hpo.report(accuracy=accuracy, step=epoch)
        # <<<
    return {"accuracy": accuracy}


space = {
    "learning_rate": hpo.loguniform(1e-4, 3.0),
    "momentum": hpo.uniform(0.0, 0.95),
    "width": hpo.lograndint(16, 129),  # up to 128: the upper bound is not included
}

# %% [markdown]
# The pictures are the same for every trial. `hpo.with_parameters` sends them to the cluster once.

# %%
objective_with_data = hpo.with_parameters(objective, X=X, y=y, X_valid=X_valid, y_valid=y_valid)


def study(num_trials, **settings):
    """A study of the same objective and space, and the seconds it took."""
    begin = time.perf_counter()
    results = hpo.tune(
        objective_with_data,
        space,
        metric="accuracy",
        mode="max",
        num_trials=num_trials,
        seed=3,
        storage="memory",
        **settings,
    )
    return results, time.perf_counter() - begin


# %% [markdown]
# ## First in, first out
#
# Ten trials, drawn at random. As soon as a worker is free it takes the next one, and every trial runs to its end.
# Schedulers call this FIFO.

# %%
fifo, fifo_s = study(10, sampler="random")
assert all(trial.status == "completed" for trial in fifo), f"trials failed, the first because: {fifo[0].reason}"
assert all(trial.last_step == len(trial.reports) == EPOCHS for trial in fifo), (
    "every epoch should be reported as a step"
)
print(f"best accuracy  {fifo.best_value:.3f}")
print(f"seconds        {fifo_s:.1f}")

# %%
workshop.show(fifo.plot.curves(), "ray_lab_01_fifo")

# %% [markdown]
# Look at the curves: after a third of the epochs one can already tell which ones will never be good. The time of all
# the others was wasted.
#
# ## Early stopping
#
# *ASHA* (asynchronous successive halving) puts *rungs* into the training, here after a third of the epochs and at the
# end. A trial that comes to a rung is compared with those that came there before it, and only the best third goes on:
#
# $$\text{go on if the accuracy is among the best } \tfrac{1}{\eta} \text{ at this rung}, \qquad \eta = 3.$$
#
# Nobody waits for anybody, which is the asynchronous part. Now we can afford twice as many trials.

# %%
# >>> your turn: {"name": "asha", ...} with eta 3, min_steps a third of EPOCHS (an int), max_steps all of them
scheduler = {"name": "asha", "eta": 3, "min_steps": EPOCHS // 3, "max_steps": EPOCHS}
# <<<
asha, asha_s = study(20, sampler="random", scheduler=scheduler)
assert asha.num_by_status["pruned"] > 0, "some of the trials should be stopped early"
print(f"best accuracy  {asha.best_value:.3f}")
print(f"stopped early  {asha.num_by_status['pruned']} of {len(asha)}")
print(f"seconds        {asha_s:.1f}")

# %%
workshop.show(asha.plot.curves(), "ray_lab_01_asha")

# %% [markdown]
# Every grey curve that ends in a circle is a trial that was stopped.
#
# ## A model that proposes, and early stopping
#
# Random search learns nothing from its trials. The sampler `tpe` does: it asks which values were more frequent among
# the good trials than among the others, and proposes more of those. It goes together with any scheduler.

# %%
model, model_s = study(20, sampler="tpe", scheduler=scheduler)
print(f"best accuracy  {model.best_value:.3f}")
print(f"stopped early  {model.num_by_status['pruned']} of {len(model)}")
print(f"seconds        {model_s:.1f}")

# %% [markdown]
# ## What it cost
#
# Seconds depend on who else uses the machine. Epochs do not: they say how much training was done.


# %%
def num_epochs(results):
    """How many epochs were trained in all trials together."""
    # >>> your turn: every trial has .reports, one for each epoch
    return sum(len(trial.reports) for trial in results)
    # <<<


assert num_epochs(asha) == sum(trial.last_step for trial in asha), "a trial that is stopped counts up to its last epoch"
for name, results, took in (("fifo", fifo, fifo_s), ("asha", asha, asha_s), ("tpe + asha", model, model_s)):
    stopped = results.num_by_status["pruned"]
    print(
        f"{name:<12}{len(results)} trials, {stopped:>2} stopped, {num_epochs(results):>5} epochs, "
        f"{took:5.1f} s, best {results.best_value:.3f}"
    )

times = {"asha": num_epochs(asha) / num_epochs(fifo), "tpe + asha": num_epochs(model) / num_epochs(fifo)}
print(f"twice the trials for  {times['asha']:.2f} times the epochs")

# %%
figure = workshop.figure("The best accuracy so far", x="epochs trained in all trials together", y="accuracy")
for name, results in (("fifo", fifo), ("asha", asha), ("tpe + asha", model)):
    trials = [trial for trial in results if trial.reports]
    spent = np.cumsum([len(trial.reports) for trial in trials])
    best = np.maximum.accumulate([trial.metrics["accuracy"] for trial in trials])
    figure.add_scatter(x=spent, y=best, mode="lines+markers", line={"shape": "hv"}, name=name)
workshop.show(figure, "ray_lab_01_best_so_far")

# %% [markdown]
# ## What we claim

# %%
assert len(fifo) == 10 and fifo.num_by_status["pruned"] == 0, "first in, first out should stop nobody"
assert num_epochs(fifo) == 10 * EPOCHS, "every trial should run to its end"
for results, num_stopped in ((asha, 8), (model, 5)):  # a model proposes better ones, of which fewer are stopped
    assert len(results) == 20, "there should be twice as many trials"
    assert results.num_by_status["pruned"] >= num_stopped, "many of the trials should be stopped"
    assert num_epochs(results) <= 1.7 * num_epochs(fifo), "twice the trials should not cost twice the training"
    assert results.best_value >= fifo.best_value - 0.03, "stopping should not lose the good ones"

# %% [markdown]
# ## What to take with you
#
# Most of a search goes into trials that do not win. Stopping them early buys about twice as many trials for little
# more time, and a sampler that learns spends them where it is promising. Both need only a line each, and an objective
# that reports.
#
# Questions to try: what happens with `min_steps=1`? Which of the stopped curves would you have kept? Ask for
# `sampler="gp"`; where does it look, compared with `tpe`?
