# %% [markdown]
# # Ray lab 00: tasks and actors
#
# A *cluster* is several computers that work together, or the cores of one computer. *Ray* is a program that lets
# Python functions run there. This lab shows the two things that Ray knows: a **task** is a function that runs
# somewhere, an **actor** is an object that lives somewhere. We shall sort lists with both, and find out which of them
# does the work in parallel.
#
# *Why a cluster at all?* The computing that goes into the largest networks grew 300,000-fold between 2012 and 2018
# ([Amodei and Hernandez](https://openai.com/index/ai-and-compute/)), and a search trains many networks. One processor
# does not become faster at that rate; more of them can be had. But a program has to be made to use them, and below you
# will see that threads alone do not do it in Python.
#
# In a terminal: `python labs/ray_lab_00_tasks_and_actors.py`; on a cluster: `ray submit cluster.yaml` and the same
# file.

# %%
import math
import os
import random
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor

import ray

import raytune_hpo as hpo
from raytune_hpo import workshop

hpo.connect()  # Ray on this machine, or RAY_ADDRESS, or RAY_HEAD_SERVICE_HOST and _PORT

# %% [markdown]
# ## Connected to what?
#
# The last line has connected this notebook to a cluster. It looks for one in this order: the address in the
# environment variable `RAY_ADDRESS`; the one that Kubernetes writes into `RAY_HEAD_SERVICE_HOST` and
# `RAY_HEAD_SERVICE_PORT`; and if there is none, it starts a small cluster on this machine.
#
# A cluster consists of *nodes* (computers), and a node has *resources*: CPUs, memory, perhaps GPUs.

# %%
nodes = [node for node in ray.nodes() if node["Alive"]]
for node in nodes:
    resources = node["Resources"]
    print(
        f"node  {node['NodeManagerHostname']}: {resources['CPU']:.0f} CPUs, {resources['memory'] / 1e9:.1f} GB of memory"
    )
num_cpus = int(ray.cluster_resources()["CPU"])
print(f"CPUs in the cluster  {num_cpus}")

# %% [markdown]
# ## A function becomes a task
#
# Write `@ray.remote` above a function, call it with `.remote(...)`, and it runs in another process, maybe on another
# computer. The call returns at once. What it returns is not the result but a *future*: a promise that there will be
# one.


# %%
@ray.remote
def where_am_i(number):
    time.sleep(0.2)
    return number, os.getpid()


future = where_am_i.remote(1)
print(f"what the call returns  {type(future).__name__}")

# %% [markdown]
# `ray.get` waits for a future and gives its value. Given a list of futures, it waits for all of them.

# %%
# >>> your turn: start where_am_i for the numbers 0 to 7, and keep the futures in a list. Do not wait yet: waiting for
#     each before the next is started would be one after the other again.
futures = [where_am_i.remote(number) for number in range(8)]
# <<<
assert all(isinstance(future, ray.ObjectRef) for future in futures), (
    "a list of futures: ray.get comes when all are started"
)
# >>> your turn: now wait for all of them
answers = ray.get(futures)
# <<<
assert not any(isinstance(answer, ray.ObjectRef) for answer in answers), (
    "these are futures still: ray.get has the answers"
)
assert len(answers) == 8 and [number for number, _ in answers] == list(range(8)), (
    "there should be an answer for each number from 0 to 7"
)
processes = {process for _, process in answers}
print(f"answers            {[number for number, _ in answers]}")
print(f"processes at work  {len(processes)}, none of which is this one: {os.getpid() not in processes}")

# %% [markdown]
# The answers come in the order of the futures, no matter which was done first.
#
# ## Something that takes time
#
# *Bubble sort* goes through a list again and again and swaps neighbours that are in the wrong order. For $n$ numbers
# it compares
#
# $$\frac{n (n - 1)}{2}$$
#
# pairs: it is slow, which is just what we want here. With the sorted list we return when and where it was sorted.

# %%
NUM_LISTS, LENGTH = workshop.size(20, quick=6), workshop.size(3_000, quick=1_800)


def bubble_sort(numbers):
    """A sorted copy, made the slow way."""
    numbers = list(numbers)
    for end in range(len(numbers) - 1, 0, -1):
        for i in range(end):
            # >>> your turn: swap numbers[i] and its right neighbour if they are in the wrong order
            if numbers[i] > numbers[i + 1]:
                numbers[i], numbers[i + 1] = numbers[i + 1], numbers[i]
            # <<<
    return numbers


assert bubble_sort([3, 1, 2]) == [1, 2, 3], "bubble_sort([3, 1, 2]) should be [1, 2, 3]"


def timed_sort(numbers):
    """The sorted list, and a note of who sorted it, from when to when."""
    begin = time.time()
    done = bubble_sort(numbers)
    return done, {"begin": begin, "end": time.time(), "process": os.getpid()}


rng = random.Random(0)
lists = [[rng.randrange(10_000) for _ in range(LENGTH)] for _ in range(NUM_LISTS)]
in_order = [sorted(numbers) for numbers in lists]
print(f"lists  {NUM_LISTS} of {LENGTH:,} numbers")

# %% [markdown]
# ## First way: a loop
#
# We keep the seconds and the notes of every way, to compare them at the end. From the notes one can tell how many lists
# were being sorted at the same moment.


# %%
def notes_of(results):
    """The notes of a way, which should have sorted every list."""
    assert isinstance(results, list), "the results should be a list: ray.get gives one for a list of futures"
    assert not any(isinstance(result, ray.ObjectRef) for result in results), (
        "these are futures: ray.get has the results"
    )
    assert [numbers for numbers, _ in results] == in_order, "every list should come back sorted, in its place"
    return [note for _, note in results]


def most_at_once(spans):
    """How many lists were being sorted at the same moment, at most."""
    return max(sum(other["begin"] <= span["begin"] < other["end"] for other in spans) for span in spans)


seconds, notes = {}, {}
begin = time.perf_counter()
sorted_by_loop = [timed_sort(numbers) for numbers in lists]
seconds["loop"] = time.perf_counter() - begin
notes["loop"] = notes_of(sorted_by_loop)
print(f"loop  {seconds['loop']:.1f} s")

# %% [markdown]
# ## Do threads help?
#
# A program may have several *threads*, which take turns in one process. Two of them share the lists out between them.
# Besides the seconds we measure how much CPU time the process got meanwhile: two busy CPUs give two seconds in a second.
#
# $$\text{CPUs at work} = \frac{\text{CPU seconds}}{\text{seconds}}$$

# %%
begin, cpu_begin = time.perf_counter(), time.process_time()
with ThreadPoolExecutor(2) as pool:
    sorted_by_threads = list(pool.map(timed_sort, lists))
seconds["two threads"] = time.perf_counter() - begin
cpus_of_threads = (time.process_time() - cpu_begin) / seconds["two threads"]
print(f"two threads   {seconds['two threads']:.1f} s")
print(f"CPUs at work  {cpus_of_threads:.2f}")

# %% [markdown]
# Both threads were at work all the time, and together they got no more than **one** CPU. In a Python process only the
# thread that holds the *global interpreter lock* (GIL) runs; the other waits for it. (Libraries such as numpy let go of
# the lock while they compute, and there are builds of Python without it.) So to use two CPUs we need two processes.
#
# ## Second way: tasks
#
# `ray.remote` can also be called with a function that is there already.

# %%
sort_task = ray.remote(timed_sort)

begin = time.perf_counter()
# >>> your turn: a task for each list, and then the results of all
sorted_by_tasks = ray.get([sort_task.remote(numbers) for numbers in lists])
# <<<
seconds["tasks"] = time.perf_counter() - begin
notes["tasks"] = notes_of(sorted_by_tasks)
assert num_cpus == 1 or LENGTH < 1_000 or most_at_once(notes["tasks"]) > 1, (
    "sort_task.remote(...) for all lists, before you wait for any: then they are sorted side by side"
)
print(f"tasks  {seconds['tasks']:.1f} s")

# %% [markdown]
# ## Third way: an actor
#
# A class becomes an *actor* in the same way. It lives in a process of its own and keeps what it has in `self` from
# call to call. Ours counts how many lists it has sorted.


# %%
@ray.remote
class Sorter:
    """Sorts lists, and knows how many it has sorted."""

    def __init__(self):
        self.num_sorted = 0

    def sort(self, numbers):
        self.num_sorted += 1
        return timed_sort(numbers)

    def count(self):
        return self.num_sorted


sorter = Sorter.remote()
print(f"sorted so far  {ray.get(sorter.count.remote())}")

# %%
num_before = ray.get(sorter.count.remote())
begin = time.perf_counter()
# >>> your turn: as with the tasks, but call the method sort of the actor: sorter.sort.remote(...)
sorted_by_actor = ray.get([sorter.sort.remote(numbers) for numbers in lists])
# <<<
seconds["one actor"] = time.perf_counter() - begin
notes["one actor"] = notes_of(sorted_by_actor)
assert ray.get(sorter.count.remote()) == num_before + NUM_LISTS, "this one actor, sorter, should have sorted all lists"
print(f"one actor      {seconds['one actor']:.1f} s")
print(f"sorted so far  {ray.get(sorter.count.remote())}")

# %% [markdown]
# All calls were started before we waited for any, as with the tasks. Why was the actor no quicker than the loop? The
# picture shows it: every bar is one list.


# %%
def timeline(notes):
    """A bar for each list, a row for each process."""
    figure = workshop.figure("Who sorted what, and when", x="seconds", y="", height=90 + 45 * 6)
    for way, spans in notes.items():
        first = min(span["begin"] for span in spans)
        workers = list(dict.fromkeys(span["process"] for span in spans))
        figure.add_bar(
            orientation="h",
            base=[span["begin"] - first for span in spans],
            x=[span["end"] - span["begin"] for span in spans],
            y=[f"{way}, process {workers.index(span['process']) + 1}" for span in spans],
            name=way,
            marker={"line": {"color": "white", "width": 1}},
        )
    figure.update_layout(barmode="overlay", showlegend=False)
    figure.update_yaxes(autorange="reversed")
    return figure


workshop.show(timeline(notes), "ray_lab_00_three_ways")

# %% [markdown]
# **An actor is serial.** It does one call after the other, in the order in which they came. That is why its count is
# right: two calls that add one at the same moment could lose one of them. Tasks have no state, so nothing keeps them
# from running side by side, as many as there are CPUs.
#
# ## Several actors, and one that leads them
#
# If one actor is serial, take several. An actor may create others and call them: a *nested* actor. Ours hires sorters
# and deals the lists out to them like cards.


# %%
@ray.remote(num_cpus=0)
class Foreman:
    """Hires sorters and gives each of them its share. It waits most of the time, so it needs no CPU of its own."""

    def __init__(self, num_sorters):
        self.sorters = [Sorter.options(num_cpus=0).remote() for _ in range(num_sorters)]

    def sort_all(self, lists):
        # >>> your turn: list number i goes to self.sorters[i % len(self.sorters)]
        futures = [self.sorters[i % len(self.sorters)].sort.remote(numbers) for i, numbers in enumerate(lists)]
        # <<<
        assert all(isinstance(future, ray.ObjectRef) for future in futures), "a list of futures: the next line waits"
        return ray.get(futures)

    def counts(self):
        return ray.get([sorter.count.remote() for sorter in self.sorters])


foreman = Foreman.remote(2)
ray.get(foreman.counts.remote())  # until they are there
begin = time.perf_counter()
sorted_by_several = ray.get(foreman.sort_all.remote(lists))
seconds["two actors"] = time.perf_counter() - begin
notes["two actors"] = notes_of(sorted_by_several)
counts = ray.get(foreman.counts.remote())
assert sum(counts) == NUM_LISTS and max(counts) - min(counts) <= 1, (
    f"the lists should be dealt out to the sorters like cards, and these have sorted {counts}"
)
assert LENGTH < 1_000 or most_at_once(notes["two actors"]) > 1, (
    "start all calls before you wait for any: actors work side by side"
)
print(f"two actors        {seconds['two actors']:.1f} s")
print(f"sorted by each    {counts}")
workshop.show(timeline(notes), "ray_lab_00_four_ways")

# %% [markdown]
# ## Tasks that depend on each other
#
# A future may be handed to another task. Ray then waits until its value is there, and brings it to where it is
# needed; our notebook never sees it. So a whole plan can be started at once: sort the lists, then merge them two by
# two, until one is left.
#
# $$\text{rounds of merging} = \lceil \log_2 (\text{lists}) \rceil$$


# %%
@ray.remote
def sort_only(numbers):
    return sorted(numbers)


@ray.remote
def merge(left, right):
    """Two sorted lists become one. Ray has replaced the futures by their values before this runs."""
    merged, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    return merged + left[i:] + right[j:]


layer = [sort_only.remote(numbers) for numbers in lists]
rounds = 0
while len(layer) > 1:
    pairs = list(zip(layer[::2], layer[1::2], strict=False))
    # >>> your turn: a task merge for each pair; an odd one out (layer[len(pairs) * 2 :]) goes on as it is
    layer = [merge.remote(left, right) for left, right in pairs] + layer[len(pairs) * 2 :]
    # <<<
    rounds += 1
    assert len(layer) == math.ceil(NUM_LISTS / 2**rounds), (
        "a future for each pair, and the odd one out, if there is one"
    )
    assert all(isinstance(future, ray.ObjectRef) for future in layer), "futures, for which nobody has waited yet"
print("planned; nobody has waited for anything yet")
merged = ray.get(layer[0])
print(f"rounds of merging  {rounds}")
print(f"numbers in order   {len(merged):,}")

# %% [markdown]
# ## First done, first served
#
# `ray.wait` gives the futures that are done and those that are not. A tuner does just this: it looks at the result
# that came first, and starts the next trial, instead of waiting for all.


# %%
@ray.remote
def trial(number, duration_s):
    time.sleep(duration_s)
    return number


durations = [0.9, 0.1, 0.3, 0.2]
waiting = [trial.options(num_cpus=0).remote(number, duration_s) for number, duration_s in enumerate(durations)]
arrived = []
while waiting:
    done, waiting = ray.wait(waiting, num_returns=1)
    arrived += ray.get(done)
print(f"started in the order  {list(range(len(durations)))}")
print(f"done in the order     {arrived}")

# %% [markdown]
# ## What we claim

# %%
for way, took in seconds.items():
    print(f"{way:<12}{took:6.1f} s")

at_once = {way: most_at_once(spans) for way, spans in notes.items()}
print(f"lists at once  {at_once}")
has_no_gil = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

for found in (sorted_by_loop, sorted_by_threads, sorted_by_tasks, sorted_by_actor, sorted_by_several):
    assert [numbers for numbers, _ in found] == in_order, "every way should sort"
assert merged == sorted(number for numbers in lists for number in numbers), "merging should keep the order"
assert most_at_once([note for _, note in sorted_by_threads]) == 2, "two threads should take turns"
assert has_no_gil or cpus_of_threads < 1.3, "and share one CPU"
assert at_once["loop"] == at_once["one actor"] == 1, "an actor should do one call after the other"
assert num_cpus == 1 or at_once["tasks"] >= 2, "tasks should run side by side"
assert at_once["two actors"] == 2, "two actors should work side by side"
assert sum(counts) == NUM_LISTS, "an actor should keep its state"
assert sorted(arrived) == list(range(len(durations))), "every trial should come once"

# %% [markdown]
# ## What to take with you
#
# A task is a function call that runs somewhere: many of them run at the same time. An actor is an object that lives
# somewhere and remembers: it does one thing after the other. A future stands for a value that is on its way, and may
# be passed on. raytune_hpo is built of these parts: one actor that decides and remembers, and workers that try
# things.
#
# Questions to try: how long do the tasks take if each list has only 10 numbers, and why are they slower than the loop
# then? What happens with three sorters on two CPUs?
