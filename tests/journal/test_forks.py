"""A forked child has copies of its parent's connections and locks: it reads by its own, and leaves those alone."""

import gc
import os
import threading
import time
import traceback

import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import JournalError
from raytune_hpo.journal import open_storage
from tests.journal.story import created, started


def in_child(work):
    """Run in a fork that ends as Python's own do; whether it went well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            gc.collect()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_child_reads_and_may_neither_write_nor_close_and_the_parent_goes_on(database_url):
    storage = open_storage(database_url, patience_s=5)
    journal = storage.journal("mnist", create=True, owner="the parent")
    journal.append([created(), started(0), started(1)], expect=0)
    held = [journal, storage, storage.read("mnist")]
    next(held[2])  # a connection of a reader, in the middle of it

    def child():
        nonlocal journal, storage
        assert len(list(open_storage(database_url).read("mnist"))) == length
        assert len(list(storage.read("mnist"))) == length
        with pytest.raises(JournalError, match=r"opened in process \d+.*a fork of it"):
            journal.append([started(9)], expect=length)
        journal.close()
        held.clear()
        journal = storage = None
        gc.collect()

    for length in (3, 4):
        assert in_child(child)
        journal.append([started(length)], expect=length)
    assert len(list(held[2])) == 2
    with pytest.raises(hpo.errors.StudyExists, match="the parent"):
        open_storage(database_url).journal("mnist", create=True, owner="another")
    journal.close()
    assert storage.integrity("mnist").broken == ()
    assert storage.integrity("mnist").num_batches == 3


@pytest.mark.slow
def test_forks_in_the_middle_of_appends_find_no_append_under_way(database_url):
    storage = open_storage(database_url, patience_s=5)
    journal = storage.journal("mnist", create=True, owner="the parent")
    journal.append([created()], expect=0)
    done, lengths, failures = threading.Event(), [1], []

    def write():
        try:
            while not done.is_set():
                journal.append([started(lengths[-1])], expect=lengths[-1])
                lengths.append(lengths[-1] + 1)
                time.sleep(0.001)  # the journal stays short enough for every child to read it whole
        except Exception as error:
            failures.append(error)

    def child():
        facts = list(open_storage(database_url).read("mnist"))
        assert len(facts) >= least
        assert [fact.number for fact in facts[1:]] == list(range(1, len(facts)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(6):
            least = lengths[-1]
            assert in_child(child)
    finally:
        done.set()
        writer.join()
    assert failures == []
    journal.close()
    assert len(list(storage.read("mnist"))) == lengths[-1]
    assert storage.integrity("mnist").broken == ()


@pytest.mark.slow
def test_a_child_loads_a_study_that_its_parent_goes_on_with(database_url):
    study = hpo.Study({"x": hpo.uniform(0, 1)}, storage=database_url, name="bowl", sampler="random", seed=0)
    study.tell(study.ask(), 0.5)
    assert in_child(lambda: len(hpo.load("bowl", storage=database_url)) == 1 or os._exit(2))
    assert in_child(study.close)
    trial = study.ask()
    study.tell(trial, 0.25)
    study.close()
    assert hpo.load("bowl", storage=database_url).best_value == 0.25
