# %% [markdown]
# # Tuning a service while it works
#
# So far a trial was an experiment: nobody was hurt when it went wrong. A service that works has users. In this lab a
# small queueing service of real processes is tuned *while it answers requests*: with a **baseline** to fall back to,
# **guards** that hold at any time, and a **canary** group on which everything is tried first. Then its load changes,
# and then something breaks.
#
# You need no cluster here: we measure this machine. In a terminal: `python labs/tuning_a_live_service.py`.

# %%
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.live.stored import StoredLive

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A queue
#
# Requests arrive at random, $\lambda$ a second on average, and wait in a queue for one of $c$ threads, which takes
# 10 ms for each. While $\lambda \cdot 10\,\text{ms} < c$ the queue is short; beyond that it grows without end. Each
# thread costs money whether it works or not, so we want few of them, but not so few that requests wait.
#
# The service is a process that takes orders as lines of JSON: how many threads, how many requests a second, how slow a
# request is, and what was measured since it was asked last.

# %%
SERVICE = """
import json, queue, random, sys, threading, time
waiting, done, lock = queue.Queue(), [], threading.Lock()
now = {"threads": 0, "rps": 100.0, "work_s": 0.01}
def work(me):
    while me < now["threads"]:
        try:
            arrived = waiting.get(timeout=0.1)
        except queue.Empty:
            continue
        time.sleep(now["work_s"])
        with lock:
            done.append(time.time() - arrived)
def arrive():
    due = time.time()
    while True:
        due += random.expovariate(now["rps"])
        time.sleep(max(0.0, due - time.time()))
        if waiting.qsize() < 300:  # the rest is sent away, and waits in vain
            waiting.put(time.time())
threading.Thread(target=arrive, daemon=True).start()
for line in sys.stdin:
    order = json.loads(line)
    before = now["threads"]
    now.update(order)
    for me in range(before, now["threads"]):
        threading.Thread(target=work, args=(me,), daemon=True).start()
    with lock:
        latencies = sorted(done)
        if "measure" in order:
            done.clear()
    print(json.dumps({**now, "latencies": latencies}), flush=True)
"""

# %% [markdown]
# What stands between a study and a service is an **applier**, with three methods. `apply` makes a group run a
# configuration, `measure` says how it went, and `read` says what the group itself says that it runs. A change counts once
# `read` has confirmed it: an `apply` that returns proves nothing, and somebody may turn a knob by hand.


# %%
class Service:
    """One process for each group, as an applier: it applies a configuration, reads back what runs, and measures."""

    def __init__(self):
        words = [sys.executable, "-I", "-c", SERVICE]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.groups = {name: subprocess.Popen(words, **pipes) for name in ("control", "canary")}
        self.lock = threading.Lock()  # a live study gives its orders from a thread of its own

    def order(self, group, **order):
        process = self.groups[group]
        with self.lock:  # an order and its answer belong together
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

    def apply(self, config, group, seq):
        self.order(group, threads=config["threads"])

    def read(self, group):
        # >>> your turn: what a group says that it runs: {"threads": ...}, from an order with nothing in it
        return {"threads": self.order(group)["threads"]}
        # <<<

    def measure(self, group, start, end):
        said = self.order(group, measure=True)
        latencies = said["latencies"]
        if not latencies:
            return {}, {}
        p95_ms = 1000 * latencies[int(0.95 * (len(latencies) - 1))]
        mean_ms = 1000 * sum(latencies) / len(latencies)
        return {"cost": said["threads"] + mean_ms / 20, "p95_ms": p95_ms}, {"rps": said["rps"]}

    def everywhere(self, **order):
        for group in self.groups:
            self.order(group, **order)

    def close(self):
        for process in self.groups.values():
            process.kill()
            process.wait()


service = Service()
service.everywhere(threads=8)
assert service.read("canary") == {"threads": 8}, "the canary was told to run 8 threads, and should say so"
time.sleep(0.5)
metrics, context = service.measure("control", 0, 0)
print(f"8 threads at {context['rps']:.0f} requests a second: p95 {metrics['p95_ms']:.0f} ms")

# %% [markdown]
# ## What may be done to it
#
# The limit is a guard, looked at several times within each window, outside of the sampler. Windows are half a second
# here; in earnest they are minutes. The load is the context: what is good at night is asked for again at noon, and a
# load that was never seen gets the baseline.

# %%
LIMIT_MS = 300
# >>> your turn: one guard, that p95_ms is at most LIMIT_MS
guards = [f"p95_ms <= {LIMIT_MS}"]
# <<<
live = hpo.Live(
    {"threads": hpo.randint(1, 17)},
    goal="min cost",
    guards=guards,
    baseline={"threads": 8},
    context=["rps"],
    applier=service,
    window_s=0.5,
    check_s=0.25,
    observe=6,
    looks=[3, 6],
    step=0.2,
    cool_down_s=1.0,
    exploration=0.9,
    regret=0.9,
    changes_per_hour=1000,
    rollbacks_per_day=50,
    name="queue",
    storage=str(folder / "live.db"),
    seat=folder / "seat",
    seed=1,
    tell=lambda text: None,
)
stored = StoredLive("queue", str(folder / "live.db"))
assert [str(guard) for guard in live.plan.guards] == [f"p95_ms <= {LIMIT_MS}"], "p95_ms should never exceed LIMIT_MS"


PATIENCE_S = workshop.size(60, quick=30)


def until(holds):
    """Wait until something holds of the study; whether it came to it."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if holds(live.status()):
            return True
        time.sleep(0.25)
    return False


live.start()
was_better = until(lambda status: bool(status.promoted))
quiet = live.status()
print(f"at 100 requests a second  {quiet.incumbent['threads']} threads instead of {quiet.baseline['threads']}")

# %% [markdown]
# ## The load changes
#
# Four times as many requests. What was promoted was shown to be good for a hundred a second, and nobody has shown
# anything about four hundred, so the baseline is back within a window or two.

# %%
service.everywhere(rps=400.0)
# >>> your turn: wait until the place of the study is another one than quiet.place
has_moved = until(lambda status: status.place != quiet.place)
# <<<
busy = live.status()
assert not has_moved or busy.place != quiet.place, "has_moved should say that the place is another one now"
print(f"at 400 requests a second  {busy.incumbent['threads']} threads, class {quiet.place} -> {busy.place}")
service.everywhere(rps=100.0)
is_back = until(lambda status: status.place == quiet.place and bool(status.promoted))
print(f"at 100 again              {live.status().incumbent['threads']} threads")

# %% [markdown]
# ## Something breaks
#
# A neighbour on the machine makes every request fifty times as slow. The guard breaks, whoever is to blame: whatever
# is being tried is let go, and if nothing is being tried, what was promoted last is rolled back.

# %%
service.everywhere(work_s=0.5)
is_rolled_back = until(lambda status: any(e.kind == "guard" for e in stored.timeline().events))
service.everywhere(work_s=0.01)
live.stop()
service.close()
for event in stored.timeline().events:
    print(f"{event.at - stored.timeline().events[0].at:6.1f} s  {event.said}  {event.why}")

# %% [markdown]
# Every window is a trial, so the story has pictures as well: how many threads ran, and how long requests took.

# %%
windows = [trial for trial in hpo.load("queue", str(folder / "live.db")) if "p95_ms" in trial.metrics]
seconds = [trial.created_at - windows[0].created_at for trial in windows]
figure = workshop.figure("Windows and their threads", x="seconds", y="threads")
figure.add_scatter(x=seconds, y=[trial.config["threads"] for trial in windows], mode="markers", name="windows")
workshop.show(figure, "tuning_a_live_service_threads")

# %%
figure = workshop.figure("Windows and the guard", x="seconds", y="p95 in ms", log_y=True)
figure.add_scatter(x=seconds, y=[trial.metrics["p95_ms"] for trial in windows], mode="markers", name="windows")
figure.add_scatter(x=[seconds[0], seconds[-1]], y=[LIMIT_MS, LIMIT_MS], mode="lines", name="guard")
workshop.show(figure, "tuning_a_live_service_guard")

# %% [markdown]
# ## Why did it do that?
#
# Every window is a trial, every decision follows from the facts, and can be made once more.

# %%
# >>> your turn: decide everything once more; live.replay() does so, and gives what it found
replay = live.replay()
# <<<
print(replay)

# %% [markdown]
# ## What we claim
#
# How few threads are enough depends on what else this machine does, so nothing below is about their number.

# %%
kinds = [event.kind for event in stored.timeline().events]
assert kinds[0] == "baseline" and "canary" in kinds, "everything should begin with the baseline, and on the canary"
assert not was_better or "promoted" in kinds, "what runs should have been promoted"
assert has_moved and busy.incumbent == busy.baseline, "a load that was never seen should get the baseline"
assert is_rolled_back, "a broken guard should be noticed"
assert not replay.differences, "every decision should follow from the facts"

# %% [markdown]
# ## What to take with you
#
# Tuning in production is not a faster search but a more careful one: small steps, on few, beside a control group, with
# a way back that works when everything else is dead. It limits harm; nobody can promise that there is none.
#
# Questions to try: turn a knob by hand (`service.order("control", threads=12)`) while it runs, and see what it does.
# What would the goal `min p95_ms`, without a guard, have done to the number of threads?
