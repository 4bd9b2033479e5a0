# %% [markdown]
# # Tuning a program: any command line will do
#
# The lab *Tuning a system* measured a command by hand: a function called it, read its clock, and took medians. Most
# of that work is the same for every program. In this lab `hpo.Command` does it, for a command that you know already,
# checking Python files in parallel, and for another one: compressing real bytes when memory is short.
#
# You need no cluster here: we measure this machine. In a terminal: `python labs/tuning_a_program.py`, and everything
# in this lab could be typed as `raytune-hpo command ...` too.

# %%
import os
import random
import statistics
import sys
import tarfile
import tempfile
from pathlib import Path

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.plots import style

folder = Path(tempfile.mkdtemp())
library = Path(os.__file__).parent
programs = [path for path in sorted(library.glob("*.py")) if 10_000 < path.stat().st_size < 60_000]
print(f"Python files  {len(programs)}, such as {programs[0].name}")

# %% [markdown]
# ## A template
#
# `xargs` reads names and starts a command with some of them at a time: `-P 4` keeps up to four processes at work (the
# **jobs**), `-n 2` gives each of them two names (the **batch**). A template is that command with places for values.
# It is split into words *before* values are put in, and no shell ever sees them: a value stays one word, whatever is
# in it.
#
# The names come in a file, each followed by a zero byte, which no name can contain.

# %%
CHECK = """
import sys, tokenize
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        list(tokenize.tokenize(file.readline))
    with open(path, "rb") as file:
        compile(file.read(), path, "exec")
    print(path, flush=True)
"""
NUM_FILES = workshop.size(34, quick=10)
names = folder / "names"
chosen = random.Random(0).sample([str(path) for path in programs], NUM_FILES)
names.write_text("".join(f"{path}\0" for path in chosen))

# >>> your turn: the words of the command up to the program that xargs runs: "xargs", "-0", then -P with the place
#     {jobs} and -n with the place {batch}
xargs = ["xargs", "-0", "-P", "{jobs}", "-n", "{batch}"]
# <<<
template = [*xargs, sys.executable, "-I", "-S", "-c", CHECK]
check = hpo.Command(template, stdin=str(names), metrics="time", measured=["peak_mb"], repeats="1..4")
words = check.words({"jobs": 4, "batch": 2})
print(" ".join(words[:6]), "...")
options = "".join(words[: len(xargs)])  # -P4 is as good as -P 4
for option in ("-0", "-P4", "-n2"):
    assert option in options, "for 4 jobs and a batch of 2 there should be -0, -P 4 and -n 2"

# %% [markdown]
# A command is an objective: call it with a configuration, and it answers with metrics. Besides the time it says how
# much CPU was used, by all processes together, and the peak of their memory.

# %%
once = check({"jobs": 1, "batch": NUM_FILES})
print(f"seconds      {once['time']:.2f}")
print(f"CPU seconds  {once['cpu']:.2f}")
print(f"peak MB      {once['peak_mb']:.0f}, by {once['peak_by']}")

# %% [markdown]
# ## The knee, by elapsed time
#
# If the work were divided without loss, $n$ jobs would need $T(n) = T(1)/n$. But what is serial stays serial, and
# jobs get in each other's way. Gunther's *universal scalability law* has a number for each:
#
# $$T(n) = \frac{T(1)}{n}\,\bigl(1 + a\,(n-1) + b\,n\,(n-1)\bigr).$$
#
# We measure $n$ = 1, 2, 3, 5, 8, 13 ..., the Fibonacci numbers, because one job more matters the less, the more there
# are.

# %%
MOST = workshop.size(21, quick=8)
# >>> your turn: the space: "jobs" are the Fibonacci numbers from 1 to MOST, "batch" is the constant 1
space = {"jobs": hpo.fibonacci(1, MOST), "batch": 1}
# <<<
assert set(space) == {"jobs", "batch"} and space["batch"] == 1, "the batch should stay 1, whatever the jobs"
sweep = hpo.tune(
    check, space, sampler="grid", runtime="local", storage="memory", progress=False,
)  # fmt: skip
seconds = {trial.config["jobs"]: trial.metrics["time"] for trial in sweep}
assert set(seconds) == {n for n in (1, 2, 3, 5, 8, 13, 21) if n <= MOST}, "jobs should be Fibonacci numbers, up to MOST"
for jobs, took in seconds.items():
    print(f"jobs {jobs:>3}  {took:6.2f} s")

# %% [markdown]
# The **knee** is the smallest number of jobs that is nearly as quick as the quickest: at most a tenth slower, say. It
# costs less memory than the optimum, and it is found again on another day, while the optimum among values that are
# all alike is luck.

# %%
quickest = min(seconds.values())
# >>> your turn: the smallest number of jobs whose seconds are at most 1.1 times the quickest
knee = min(jobs for jobs, took in seconds.items() if took <= 1.1 * quickest)
# <<<
assert knee in seconds, "the knee should be one of the numbers of jobs"
assert seconds[knee] <= 1.1 * quickest, "the knee should be nearly as quick as the quickest"
for jobs, took in seconds.items():
    assert jobs >= knee or took > 1.1 * quickest, "and no smaller number should be"
# Seconds for each job, which sounds fair, would have chosen another number:
wrong = min(seconds, key=lambda jobs: seconds[jobs] / jobs)
print(f"knee                    {knee}")
print(f"by seconds / jobs       {wrong}")

# %%
figure = workshop.figure("How long it takes", x="jobs", y="seconds", log_x=True)
figure.add_scatter(x=list(seconds), y=list(seconds.values()), mode="lines+markers", name="measured")
figure.add_scatter(
    x=[knee], y=[seconds[knee]], mode="markers", name="knee",
    marker={"size": 18, "symbol": "circle-open", "color": style.RED, "line": {"width": 2}},
)  # fmt: skip
figure.update_xaxes(tickvals=list(seconds))
figure.update_yaxes(rangemode="tozero")
workshop.show(figure, "tuning_a_program_knee")

# %% [markdown]
# ## Jobs and batch together
#
# Starting a process takes time too, so a batch saves some of it, unless it leaves one process with the last files
# while the others are done. Now it is a search, and the search repeats a configuration only where that decides which
# one is best.

# %%
both = hpo.tune(
    check,
    {"jobs": hpo.fibonacci(1, MOST), "batch": hpo.lograndint(1, NUM_FILES + 1)},
    points_to_evaluate=[{"jobs": 1, "batch": 1}],
    num_trials=workshop.size(16, quick=6),
    seed=0,
    runtime="local",
    storage="memory",
    progress=False,
)
runs = [trial.metrics["runs"] for trial in both]
print(f"best        {both.best_value:.2f} s with {dict(both.best_config)}")
print(f"runs        {sum(runs):.0f} for {len(runs)} configurations")

# %% [markdown]
# Is it better than the first one, and by how much? Both run again, **by turns**: whatever else happens on this
# machine happens to both. What we look at is the ratio within each turn.

# %%
again = both.confirm(top=1, repeats=workshop.size(7, quick=4), also=[0], objective=check.once(), progress=False)
best, first = again.candidates[0], next(c for c in again.candidates if 0 in c.numbers)
# >>> your turn: a list with the first one's seconds divided by the best one's, turn by turn; best.by_repeat and
#     first.by_repeat are dicts of seconds by the number of the turn
ratios = [first.by_repeat[turn] / best.by_repeat[turn] for turn in best.by_repeat]
# <<<
assert len(ratios) == len(best.by_repeat), "there should be one ratio for each turn"
for turn, ratio in zip(best.by_repeat, ratios, strict=True):
    assert workshop.is_close(ratio * best.by_repeat[turn], first.by_repeat[turn]), "2 is twice as fast as the first one"
print(f"times as fast  {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")

# %% [markdown]
# ## Compressing when memory is short
#
# LZMA finds repetitions within a **dictionary**: the larger it is, the further back it can look, and the more memory
# it takes, about eleven times as much. How small can these files become if the program may use only so much?
#
# The program is a few lines of Python around the standard library. The metric is the size of the file that it makes.

# %%
source = folder / "sources.tar"
with tarfile.open(source, "w") as tar:
    for path in programs[: workshop.size(80, quick=35)]:
        tar.add(path, arcname=path.name)
COMPRESS = """
import lzma, sys
source, target, power, nice = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
filters = [dict(id=lzma.FILTER_LZMA2, dict_size=2**power, nice_len=nice, mode=lzma.MODE_NORMAL, mf=lzma.MF_BT4)]
with open(source, "rb") as file, open(target, "wb") as out:
    out.write(lzma.compress(file.read(), filters=filters))
"""
print(f"to compress  {source.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# A **constraint** is a bound on a metric. What breaks it has completed, and is *infeasible*: it is recorded, models
# learn from it, and it is never the best.

# %%
LIMIT_MB = 20
greedy = {"power": 23, "nice": 273}
words = [sys.executable, "-I", "-S", "-c", COMPRESS, str(source), "out.xz", "{power}", "{nice}"]
sizes = {"power": hpo.randint(14, 24), "nice": hpo.lograndint(8, 274)}
settings = {"metrics": "size_mb:out.xz", "measured": ["peak_mb", "time"], "repeats": 1, "cwd": folder}
searching = {
    "num_trials": workshop.size(14, quick=7),
    "points_to_evaluate": [greedy],
    "seed": 0,
    "storage": "memory",
    "progress": False,
}
free = hpo.tune(hpo.Command(words, **settings), sizes, runtime="local", **searching)
# >>> your turn: the list with one constraint, as text: "peak_mb" is at most LIMIT_MB
constraints = [f"peak_mb <= {LIMIT_MB}"]
# <<<
limited = hpo.tune(hpo.Command(words, constraints=constraints, **settings), sizes, runtime="local", **searching)
for trial in limited:
    too_much = trial.metrics["peak_mb"] > LIMIT_MB
    assert bool(trial.violations) == too_much, "what took more than LIMIT_MB should be infeasible, and nothing else"
for label, found in (("without a limit", free), (f"within {LIMIT_MB} MB", limited)):
    best = found.best_trial
    print(
        f"{label:<16}  {best.metrics['size_mb']:.3f} MB, memory {best.metrics['peak_mb']:4.0f} MB, {dict(best.config)}"
    )
print(f"infeasible        {len(limited) - len(limited.feasible)} of {len(limited)}")

# %%
figure = workshop.figure("What memory buys", x="peak memory in MB", y="size of the compressed files in MB")
for label, found in (("without a limit", free), ("with a limit", limited)):
    points = [(trial.metrics["peak_mb"], trial.metrics["size_mb"]) for trial in found]
    figure.add_scatter(x=[x for x, _ in points], y=[y for _, y in points], mode="markers", name=label)
figure.add_vline(x=LIMIT_MB, line_dash="dot")
workshop.show(figure, "tuning_a_program_memory")

# %% [markdown]
# A constraint watches; a **limit** acts. With `memory_mb=` the program is not allowed more: it is ended, and its
# trial has failed. That protects the machine. The constraint is the better teacher, because it says by *how much* the
# bound was broken.

# %%
tight = hpo.Command(words, **settings, memory_mb=LIMIT_MB)
refused = hpo.tune(tight, sizes, runtime="local", **{**searching, "num_trials": 1})
print(f"status  {refused[0].status}: {refused[0].reason.splitlines()[0][:90]}")

# %% [markdown]
# ## What we claim
#
# Seconds depend on what else this machine does, so that nothing below is about seconds alone.

# %%
assert wrong >= knee, "seconds / jobs should not choose fewer jobs than there are at the knee"
assert once["cpu"] > 0 and once["peak_mb"] > 5, "the program should have been measured"
assert len(runs) <= sum(runs) <= 4 * len(runs) + 1, "a configuration should run as often as it takes, and no more"
assert len(ratios) == len(first.by_repeat) > 0, "both should have run in every turn"
assert limited.best_trial.metrics["peak_mb"] <= LIMIT_MB, "the best within the limit should keep it"
assert free.best_value <= limited.best_value, "more memory should not make files larger"
assert 0 in [trial.number for trial in limited if trial.violations], "the greedy one should be infeasible"
assert refused[0].status == "failed", "what needs more than it may have should fail"

# %% [markdown]
# ## What to take with you
#
# A command line is an objective. What is hard about it is not the search but the measuring: values that never meet a
# shell, memory that is not the parent's, runs that are repeated where it matters, comparisons by turns, and nothing
# left running.
#
# Questions to try: type the first search as `raytune-hpo command ... --prefer jobs=small,10%`. Which dictionary would
# you choose if the files had to be compressed in a second as well?
