# %% [markdown]
# # Tuning a system: how many at a time?
#
# Not only models have hyperparameters. A program that checks files can check one after the other, or several at the
# same time; it can give each process one file, or many. Which is best? This lab measures a real command, finds the
# *knee* of its curve, and shows how a metric that sounds sensible chooses nonsense.
#
# You need no cluster here, on purpose: we measure this machine, and whatever else runs on it disturbs the
# measurement. In a terminal: `python labs/tuning_a_system.py`.

# %%
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.plots import style

# %% [markdown]
# ## The command
#
# A *linter* reads programs and finds mistakes. Ours is a simple one: it takes a file apart into words, compiles it, and
# throws the result away. For every file it prints when it began, when it was done, and how much memory the process has
# used.
#
# The files are a random batch from Python's own library.

# %%
CHECK = """
import resource, sys, time, tokenize
for path in sys.argv[1:]:
    begin = time.time()
    with open(path, "rb") as file:
        list(tokenize.tokenize(file.readline))
    with open(path, "rb") as file:
        compile(file.read(), path, "exec")
    print(begin, time.time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""
BATCH = workshop.size(21, quick=8)

library = Path(os.__file__).parent
programs = [path for path in sorted(library.glob("*.py")) if 30_000 < path.stat().st_size < 90_000]
files = [str(path) for path in random.Random(0).sample(programs, BATCH)]
print(f"files to check       {len(files)}, such as {Path(files[0]).name}")
print(f"CPUs of this machine  {os.cpu_count()}")

# %% [markdown]
# `xargs` reads names and starts a command with some of them at a time. `-P 4` keeps up to four processes at work, the
# **concurrency**; `-n 2` gives each of them two files, the **batch size**.


# %%
def check(concurrency, per_process=1, batch=files):
    """Check all files once: when each was begun and done, in seconds since the start, and what that used."""
    # >>> your turn: the options of xargs for concurrency and batch size, as text: ["-P", str(...), ...]
    options = ["-P", str(concurrency), "-n", str(per_process)]
    # <<<
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    command = ["xargs", "-0", *options, sys.executable, "-S", "-E", "-c", CHECK]
    done = subprocess.run(command, input="\0".join(batch), capture_output=True, text=True, check=True)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    lines = [line.split() for line in done.stdout.splitlines()]
    unit = 1 if sys.platform == "darwin" else 1_024  # macOS counts bytes, Linux kilobytes
    return {
        "spans": [(float(at) - begin, float(until) - begin) for at, until, _ in lines],
        "seconds": end - begin,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "process_mb": max(int(rss) for *_, rss in lines) * unit / 1e6,
    }


def most_at_once(run):
    """How many files were being checked at the same moment, at most."""
    return max(sum(begin <= at < end for begin, end in run["spans"]) for at, _ in run["spans"])


once = check(concurrency=2)
print(f"files done     {len(once['spans'])}")
print(f"most at once   {most_at_once(once)}")
assert most_at_once(once) <= 2, "-P should limit the processes to two"
assert most_at_once(check(concurrency=1, per_process=4)) == 1, "one process at a time, whatever the batch size"
print(f"seconds        {once['seconds']:.2f}")
print(f"CPU seconds    {once['cpu_s']:.2f}")

# %% [markdown]
# ## Measure several times
#
# Run the same thing twice and you get two numbers. So every setting is measured several times. The **median** says
# what to expect, and the distance between the slowest and the quickest run, the **jitter**, how far to trust it.
#
# | metric | meaning |
# |---|---|
# | `seconds` | until all files are done |
# | `jitter` | slowest run minus quickest run |
# | `latency` | until half of the files are done |
# | `throughput` | files per second |
# | `cpu_s` | seconds of work, of all processes together |
# | `memory_mb` | memory of all processes that work at the same time |

# %%
REPEATS = 3


def median_and_jitter(took):
    """What some runs of the same thing say: the value in the middle, and how far they lie apart."""
    # >>> your turn: the median of took
    seconds = statistics.median(took)
    # <<<
    # >>> your turn: the slowest minus the quickest
    jitter = max(took) - min(took)
    # <<<
    return seconds, jitter


assert median_and_jitter([2.0, 8.0, 1.0]) == (2, 7), "of 2, 8 and 1 seconds the median is 2, and the jitter 8 - 1 = 7"


def measure(config, batch=files, repeats=REPEATS):
    concurrency, per_process = config["concurrency"], config.get("per_process", 1)
    runs = [check(concurrency, per_process, batch) for _ in range(repeats)]
    seconds, jitter = median_and_jitter([run["seconds"] for run in runs])
    num_processes = min(concurrency, -(-len(batch) // per_process))  # no more than there are batches, rounded up
    return {
        "seconds": seconds,
        "jitter": jitter,
        "latency": statistics.median(statistics.median(end for _, end in run["spans"]) for run in runs),
        "throughput": len(batch) / seconds,
        "cpu_s": statistics.median(run["cpu_s"] for run in runs),
        "memory_mb": num_processes * max(run["process_mb"] for run in runs),
    }


# %% [markdown]
# ## Which values to try
#
# One process more matters much if there were two, and little if there were thirty. So the values to try should lie
# the closer the smaller they are. The *Fibonacci numbers* 1, 2, 3, 5, 8, 13, ... do: each is the sum of the two
# before,
#
# $$F_{k+1} = F_k + F_{k-1}.$$
#
# We take those up to the number of files, and that number itself. More processes than files would have nothing to do.


# %%
def fibonacci(limit):
    """The different Fibonacci numbers up to a limit, and the limit."""
    numbers = [1, 2]
    # >>> your turn: as long as the next one is at most the limit, append it
    while numbers[-1] + numbers[-2] <= limit:
        numbers.append(numbers[-1] + numbers[-2])
    # <<<
    return sorted({*numbers, limit})


assert fibonacci(10) == [1, 2, 3, 5, 8, 10], "up to 10 they should be 1, 2, 3, 5, 8, and 10 itself"

# %% [markdown]
# A tuner can measure them like any other grid. `max_concurrent=1` is essential: two trials at the same time would
# measure each other. `runtime="local"` runs them here and not somewhere on a cluster.

# %%
sweep = hpo.tune(
    measure,
    {"concurrency": hpo.grid_search(fibonacci(BATCH))},
    metric="seconds",
    sampler="grid",
    runtime="local",
    max_concurrent=1,
    storage="memory",
    progress=False,
)
by_concurrency = {trial.config["concurrency"]: trial.metrics for trial in sweep}
print("  n  seconds  jitter  latency  files/s  CPU s  memory MB")
for n, found in by_concurrency.items():
    print(
        f"{n:>3}  {found['seconds']:7.2f}  {found['jitter']:6.2f}  {found['latency']:7.2f}  {found['throughput']:7.1f}"
        f"  {found['cpu_s']:5.2f}  {found['memory_mb']:9.0f}"
    )

# %% [markdown]
# ## Is the machine ours?
#
# One process alone should get one CPU: as many CPU seconds as seconds go by. If it gets much less, something else is
# running here, and more processes get a larger share of what is left, or none. Then the curve below tells more about
# the others than about the command. Look at this number before you believe any measurement.
#
# $$\text{share} = \frac{\text{CPU seconds}}{\text{seconds}} \quad \text{at } n = 1$$

# %%
alone = by_concurrency[1]
# >>> your turn: the share
share = alone["cpu_s"] / alone["seconds"]
# <<<
assert workshop.is_close(share, alone["cpu_s"] / alone["seconds"]), "the CPU seconds of one process, by its seconds"
is_ours = share > 0.7
print(f"share of a CPU  {share:.2f}: {'the machine is ours' if is_ours else 'somebody else is busy here'}")

# %% [markdown]
# ## The knee
#
# If the work could be divided without loss, $n$ processes would need $T(n) = T(1) / n$. But there are only $c$ CPUs,
# so beyond them nothing is gained:
#
# $$T(n) \approx \frac{T(1)}{\min(n, c)}.$$
#
# The curve falls and then is flat. The place where it bends is the *knee*: the smallest $n$ that is nearly as quick
# as the quickest. We say "nearly" for what is at most a quarter slower.

# %%
fastest = min(found["seconds"] for found in by_concurrency.values())
# >>> your turn: the smallest n whose seconds are at most 1.25 times the fastest
knee = min(n for n, found in by_concurrency.items() if found["seconds"] <= 1.25 * fastest)
# <<<
assert by_concurrency[knee]["seconds"] <= 1.25 * fastest, "the knee should be nearly as quick as the fastest"
for n, found in by_concurrency.items():
    assert n >= knee or found["seconds"] > 1.25 * fastest, "and no smaller number should be"
print(f"knee  {knee} processes: {by_concurrency[knee]['seconds']:.2f} s, the fastest is {fastest:.2f} s")

# %%
ns = list(by_concurrency)
seconds = [found["seconds"] for found in by_concurrency.values()]
ideal = [seconds[0] / min(n, os.cpu_count()) for n in ns]
figure = workshop.figure("How long it takes", x="processes at the same time", y="seconds", log_x=True)
figure.add_scatter(x=ns, y=seconds, mode="lines+markers", name="measured")
figure.add_scatter(x=ns, y=ideal, mode="lines", line={"dash": "dot"}, name="T(1) / min(n, CPUs)")
figure.add_scatter(
    x=[knee],
    y=[by_concurrency[knee]["seconds"]],
    mode="markers",
    marker={"size": 18, "symbol": "circle-open", "color": style.RED, "line": {"width": 2}},
    name="knee",
)
figure.update_xaxes(tickvals=ns)
figure.update_yaxes(rangemode="tozero")
workshop.show(figure, "tuning_a_system_knee")

# %% [markdown]
# ## The wrong metric
#
# A published study of just this problem minimised
#
# $$L(n) = \frac{T(n)}{n},$$
#
# the seconds for each process. It sounds fair. But where $T$ is flat, $L$ falls like $1/n$, whatever the system does.
# What does it choose?

# %%
# >>> your turn: the n of the smallest seconds / n
wrong_choice = min(by_concurrency, key=lambda n: by_concurrency[n]["seconds"] / n)
# <<<
assert wrong_choice in by_concurrency, "the choice should be a number of processes that was tried"
for n, found in by_concurrency.items():
    chosen = by_concurrency[wrong_choice]["seconds"] / wrong_choice
    assert chosen <= found["seconds"] / n, "no other number should have a smaller seconds / n"
print(f"seconds / n chooses  {wrong_choice} processes, of {ns}")
print(f"memory at the knee   {by_concurrency[knee]['memory_mb']:.0f} MB")
print(f"memory as chosen     {by_concurrency[wrong_choice]['memory_mb']:.0f} MB")

# %%
wrong = [found["seconds"] / n for n, found in by_concurrency.items()]
figure = workshop.figure(
    "The same runs by the wrong metric", x="processes at the same time", y="seconds / n", log_x=True
)
figure.add_scatter(x=ns, y=wrong, mode="lines+markers", name="seconds / n")
figure.update_xaxes(tickvals=ns)
workshop.show(figure, "tuning_a_system_wrong_metric")

# %% [markdown]
# It chooses the largest value, always, and would choose a larger one if there were any. If the best value lies at the
# end of the range, do not widen the range before you have looked at the metric.
#
# ## Concurrency and batch size together
#
# Starting a process takes time as well, so giving it several files saves some. But with few large batches, one
# process may be left with the last one while the others are done. And memory is not free either. So there are two
# parameters and two metrics: seconds and memory.

# %%
storage = f"sqlite:///{tempfile.mkdtemp()}/studies.db"  # a file: we shall come back to these studies
ranges = {"concurrency": hpo.lograndint(1, BATCH + 1), "per_process": hpo.lograndint(1, BATCH // 2 + 1)}
both = hpo.tune(
    measure,
    ranges,
    metric=["seconds", "memory_mb"],
    num_trials=workshop.size(16, quick=6),
    seed=0,
    name="lint",
    runtime="local",
    max_concurrent=1,
    storage=storage,
    progress=False,
)
for trial in sorted(both.best_trials, key=lambda trial: trial.metrics["memory_mb"]):
    print(f"  {trial.metrics['seconds']:5.2f} s  {trial.metrics['memory_mb']:5.0f} MB  {dict(trial.config)}")

# %%
workshop.show(both.plot.pareto(), "tuning_a_system_front")

# %% [markdown]
# Nobody can say which of these is best without knowing what memory costs. With a limit the question has an answer: the
# quickest below the limit.
#
# ## Limits of three kinds
#
# | kind | example | known | what to do |
# |---|---|---|---|
# | static | processes without any file are useless | before the trial | `constraints` of the space: never proposed |
# | dynamic | the memory used; what other programs leave us | when it was measured | `valid_range`: the trial fails |
# | data | 5 files today, 500 tomorrow | when the data come | tune for each kind of data |
#
# First the static one and the dynamic one. The limit on memory is such that three processes fit. We begin with a setting
# which is known to keep it.

# %%
LIMIT_MB = 3.5 * alone["memory_mb"]
# >>> your turn: a dict that says between which bounds "memory_mb" must lie, as a tuple of two
limits = {"memory_mb": (0, LIMIT_MB)}
# <<<
assert isinstance(limits, dict) and list(limits) == ["memory_mb"], 'limits should be a dict with the key "memory_mb"'
assert max(limits["memory_mb"]) == LIMIT_MB, "memory should be at most LIMIT_MB"


def has_work_for_all(config):
    """Whether no process is without a file."""
    return (config["concurrency"] - 1) * config["per_process"] < BATCH


limited = hpo.tune(
    measure,
    hpo.Space(ranges, constraints=[has_work_for_all]),
    metric=["seconds", "memory_mb"],
    valid_range=limits,
    num_trials=workshop.size(8, quick=4),
    points_to_evaluate=[{"concurrency": 1, "per_process": 1}, {"concurrency": BATCH, "per_process": 1}],
    seed=0,
    name="lint-with-limits",
    runtime="local",
    max_concurrent=1,
    storage=storage,
    progress=False,
)
too_large = [trial for trial in limited if trial.status == "failed"]
incumbent = min(limited.best_trials, key=lambda trial: trial.metrics["seconds"])
print(f"limit         {LIMIT_MB:.0f} MB, which {len(too_large)} of {len(limited)} broke")
print(f"the quickest  {incumbent.metrics['seconds']:.2f} s with {dict(incumbent.config)}")

# %% [markdown]
# Now the data: the same tuning for a batch of 5 files, some of those above, and for one of 500, all of them small.

# %%
small = [path for path in sorted(library.glob("*/*.py")) if 500 < path.stat().st_size < 5_000]
small = [str(path) for path in small if not {"site-packages", "test", "tests"} & set(path.parts)]
many = random.Random(1).choices(small, k=workshop.size(500, quick=100))
batches = {f"{len(batch)} files": batch for batch in (files[:5], many)}
by_data = {}
for label, batch in batches.items():
    by_data[label] = hpo.tune(
        hpo.with_parameters(measure, batch=batch, repeats=1),
        {"concurrency": hpo.grid_search([1, 4]), "per_process": hpo.grid_search([1, 5, 50])},
        metric="seconds",
        sampler="grid",
        runtime="local",
        max_concurrent=1,
        storage="memory",
        progress=False,
    )
    print(label)
    for trial in sorted(by_data[label], key=lambda trial: trial.metrics["seconds"]):
        print(f"  {trial.metrics['seconds']:6.2f} s  {trial.metrics['cpu_s']:6.2f} CPU s  {dict(trial.config)}")

# %% [markdown]
# With many small files most of the CPU time goes into *starting* processes, so a process should get many. But let each
# process take fifty where there are five, and the first one takes all, while the other CPUs have nothing to do. Where the
# data change from batch to batch, the best setting has to be a rule ("the batch divided by the CPUs, at most fifty"), and
# what is tuned is the rule.
#
# ## Debugging a system that changes
#
# A tuned system goes on living: files grow, programs get new versions, the machine gets other neighbours. One day it is
# slow. Was the tuning wrong, or has something changed since? Four steps tell. The first two ask the study, which has kept
# every trial.


# %%
def in_terminal(*words):
    """A command, as one types it into a terminal."""
    print(f"$ raytune-hpo {' '.join(words)}")
    command = [sys.executable, "-m", "raytune_hpo.cli", *words, "--storage", storage]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout + done.stderr)
    return done.returncode


audited = in_terminal("audit", "lint")
shown = in_terminal("show", "lint-with-limits", "--trial", str(too_large[0].number))

# %% [markdown]
# 1. `audit` computes again, from the stored results, what the search should have proposed. If it differs, the *search*
#    has changed: another version, another space.
# 2. `show --trial` says what one trial was and what it died of: this one broke the limit on memory.
# 3. Then try the *incumbent*, the setting in use, once more. If it is as quick as it was, the system has not changed. (A
#    study that is running does this with `raytune-hpo enqueue NAME JSON`.)
# 4. If it is not, tune again under the new circumstances, and begin with the incumbent: the new search then knows what it
#    has to beat.
#
# Let the change be that the files have become many and small.

# %%
again = hpo.tune(
    hpo.with_parameters(measure, batch=many, repeats=1),
    ranges,
    metric="seconds",
    num_trials=workshop.size(6, quick=3),
    points_to_evaluate=[dict(incumbent.config), {"concurrency": 2, "per_process": BATCH // 2}],
    seed=0,
    name="lint-after-the-change",
    runtime="local",
    max_concurrent=1,
    storage=storage,
    progress=False,
)
print(f"incumbent    {again[0].metrics['throughput']:6.1f} files/s  {dict(again[0].config)}")
print(f"tuned again  {again.best_trial.metrics['throughput']:6.1f} files/s  {dict(again.best_config)}")

# %% [markdown]
# ## What we claim
#
# Seconds depend on what else this machine is doing, so nothing below is about seconds. What was at work at the same time
# can be counted, and CPU seconds and memory are those of our own processes. For the speed-up, one process and several are
# measured *in turn*, so that others disturb both alike.

# %%
largest = max(ns)
one, all_at_once = [], []
for _ in range(REPEATS):
    one.append(check(1))
    all_at_once.append(check(largest))
speed_up = statistics.median(a["seconds"] / b["seconds"] for a, b in zip(one, all_at_once, strict=True))
print(f"speed-up of {largest} processes  {speed_up:.1f}")

assert all(len(run["spans"]) == BATCH for run in one + all_at_once), "every file should be checked"
assert all(most_at_once(run) == 1 for run in one), "one process should check one file after the other"
assert all(2 <= most_at_once(run) <= largest for run in all_at_once), "several should be at work at the same time"
work_s = min(run["cpu_s"] for run in all_at_once)
assert work_s > 0.6 * min(run["cpu_s"] for run in one), "the work should not become less, only shared"
for run in all_at_once:  # which is why there is a knee: no number of processes does more work than the CPUs can
    assert run["seconds"] * os.cpu_count() > 0.95 * run["cpu_s"], "n processes should not get more than all CPUs"
assert wrong_choice == largest or not is_ours, "seconds / n should choose the largest n"
assert by_concurrency[largest]["memory_mb"] > 2 * by_concurrency[1]["memory_mb"], "every process should cost memory"
assert len(both.best_trials) >= 1, "there should be a front"
assert incumbent.metrics["memory_mb"] <= LIMIT_MB, "the quickest should keep the limit"
assert too_large and all("memory_mb" in trial.error for trial in too_large), "those that broke it should have failed"
few, full = batches.values()
assert most_at_once(check(4, 50, few)) == 1, "fifty for each process should leave five files to a single one"
cpu_s = {trial.config["per_process"]: trial.metrics["cpu_s"] for trial in by_data[f"{len(full)} files"]}
assert cpu_s[1] > 1.5 * cpu_s[50], "a process for each small file should cost more than one for fifty"
assert (audited, shown) == (0, 0), "the study should be what its search proposed"
assert dict(again[0].config) == dict(incumbent.config), "the new search should begin with the incumbent"

# %% [markdown]
# ## What to take with you
#
# A system is tuned like a model: settings go in, metrics come out. But its metrics are noisy, so measure several
# times; and they are chosen by people, so try them on a curve you understand before you let a search loose on them.
# The knee is often a better answer than the optimum: it is nearly as quick and much cheaper.
#
# Questions to try: which batch size is best at concurrency 1, and why? Run a second copy of this notebook at the same
# time. What happens to the jitter, and where is the knee now?
