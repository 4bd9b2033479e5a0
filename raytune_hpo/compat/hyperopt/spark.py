"""``SparkTrials`` without Spark: trials that run in parallel, in threads of this process or on Ray workers."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hyperopt
from hyperopt.base import (
    JOB_STATE_CANCEL,
    JOB_STATE_DONE,
    JOB_STATE_ERROR,
    JOB_STATE_NEW,
    JOB_STATE_RUNNING,
    STATUS_OK,
    Ctrl,
    spec_from_misc,
    validate_loss_threshold,
    validate_timeout,
)
from hyperopt.exceptions import AllTrialsFailed
from hyperopt.utils import coarse_utcnow

from raytune_hpo import cluster
from raytune_hpo.runtime.failing import failure_of

__all__ = ["SparkTrials"]

Evaluation = Callable[[dict[str, Any], Ctrl], dict[str, Any]]  # of a point, for the trial of a Ctrl: its result

_log = logging.getLogger("raytune_hpo")
_POLL_S = 0.01  # how often hyperopt's loop looks for trials that have ended


class SparkTrials(hyperopt.Trials):  # type: ignore[misc]  # hyperopt has no types
    """Trials that run in parallel: on Ray workers if ``hpo.connect`` was called, each with a CPU, and otherwise in threads.

    A trial that raises has failed, without ending the search.

    Args:
        parallelism: how many trials run at the same time; None, or below 1: one for each processor, at most 128.
        timeout: seconds after which no trial begins.
        loss_threshold: a loss at which the search ends.
        spark_session, resource_profile: of Spark; without effect.

    Raises:
        Exception: timeout is not above 0, or loss_threshold is no number.
    """

    asynchronous = True
    MAX_CONCURRENT_JOBS_ALLOWED = 128
    _spark = None  # hyperopt's loop then pickles no objective

    def __init__(
        self,
        parallelism: int | None = None,
        timeout: float | None = None,
        loss_threshold: float | None = None,
        spark_session: Any = None,
        resource_profile: Any = None,
    ) -> None:
        wanted = parallelism if parallelism is not None and parallelism > 0 else os.cpu_count() or 1
        self.parallelism = min(wanted, self.MAX_CONCURRENT_JOBS_ALLOWED)
        validate_timeout(timeout)
        validate_loss_threshold(loss_threshold)
        self.timeout, self.loss_threshold = timeout, loss_threshold
        # Starts a trial that has been suggested; None between runs.
        self._begin: Callable[[dict[str, Any]], object] | None = None
        super().__init__()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_begin": None}

    def _insert_trial_docs(self, docs: Sequence[dict[str, Any]]) -> Any:
        inserted = super()._insert_trial_docs(docs)
        if self._begin is not None:
            for doc in docs:
                self._begin(doc)
        return inserted

    def fmin(
        self,
        fn: Callable[..., Any],
        space: Any,
        algo: Callable[..., Any],
        max_evals: int | None = None,
        timeout: float | None = None,
        loss_threshold: float | None = None,
        max_queue_len: int = 1,
        rstate: Any = None,
        verbose: bool = True,
        pass_expr_memo_ctrl: bool | None = None,
        catch_eval_exceptions: bool = False,
        return_argmin: bool = True,
        show_progressbar: Any = True,
        early_stop_fn: Callable[..., Any] | None = None,
        trials_save_file: str = "",
    ) -> Any:
        """Minimise, as ``fmin`` does, which calls this method."""
        validate_timeout(timeout)
        validate_loss_threshold(loss_threshold)
        domain = hyperopt.Domain(fn, space, pass_expr_memo_ctrl=pass_expr_memo_ctrl)
        seconds = self.timeout if self.timeout is not None else timeout
        ends_at = None if seconds is None else time.monotonic() + seconds
        options = {} if max_evals is None else {"max_evals": max_evals}
        loop = hyperopt.FMinIter(
            algo,
            domain,
            self,
            rstate=rstate,
            asynchronous=True,
            max_queue_len=max_queue_len,
            poll_interval_secs=_POLL_S,
            timeout=seconds,
            loss_threshold=self.loss_threshold if self.loss_threshold is not None else loss_threshold,
            verbose=verbose,
            show_progressbar=show_progressbar,
            early_stop_fn=None if early_stop_fn is None else _EarlyStop(early_stop_fn, self),
            trials_save_file=trials_save_file,
            **options,
        )
        pool = ThreadPoolExecutor(self.parallelism, thread_name_prefix="raytune_hpo-hyperopt")
        with _evaluation_of(domain) as evaluate, pool:
            self._begin = lambda trial: pool.submit(self._evaluate, trial, evaluate, ends_at)
            try:
                loop.exhaust()
            finally:
                self._begin = None
        if not return_argmin:
            return None if not self.trials else hyperopt.space_eval(space, self.argmin)
        if not self.count_successful_trials():
            raise AllTrialsFailed(self._failure())
        return self.argmin

    def _evaluate(self, trial: dict[str, Any], evaluate: Evaluation, ends_at: float | None) -> None:
        if ends_at is not None and time.monotonic() >= ends_at:
            trial["state"] = JOB_STATE_CANCEL
            return
        trial["book_time"] = trial["refresh_time"] = coarse_utcnow()
        trial["state"] = JOB_STATE_RUNNING
        try:
            trial["result"] = evaluate(spec_from_misc(trial["misc"]), Ctrl(self, current_trial=trial))
            state = JOB_STATE_DONE
        except Exception as error:  # whatever an objective raises
            reason = failure_of(error).reason
            _log.warning("trial %d failed: %s", trial["tid"], reason)
            trial["misc"] |= {"error": (str(type(error)), str(error)), "reason": reason}
            state = JOB_STATE_ERROR
        trial["refresh_time"] = coarse_utcnow()
        trial["state"] = state

    def _failure(self) -> str:
        """Why there is no trial with a result."""
        reasons = [trial["misc"]["reason"] for trial in self._dynamic_trials if "reason" in trial["misc"]]
        if not reasons:
            return "no trial has begun; give a longer timeout or more max_evals"
        return f"all {len(reasons)} trials failed; the first: {reasons[0]}"

    # -------------------------------------------------------------------------------------------- counts

    def count_successful_trials(self) -> int:
        """How many trials have a result."""
        return self._count(JOB_STATE_DONE)

    def count_failed_trials(self) -> int:
        """How many trials have raised."""
        return self._count(JOB_STATE_ERROR)

    def count_cancelled_trials(self) -> int:
        """How many trials did not begin because of the timeout."""
        return self._count(JOB_STATE_CANCEL)

    def count_total_trials(self) -> int:
        """How many trials have ended."""
        return self._count(JOB_STATE_DONE, JOB_STATE_ERROR, JOB_STATE_CANCEL)

    def count_unfinished_trials(self) -> int:
        """How many trials run, or wait for a thread."""
        return self._count(JOB_STATE_NEW, JOB_STATE_RUNNING)

    def _count(self, *states: int) -> int:
        return int(self.count_by_state_unsynced(list(states)))


class _EarlyStop:
    """A stop function that is asked once for each loss, in a loop that asks all the time.

    It sees the trials that have a loss, in the order in which they ended; ``result["loss"]`` of those that run is missing.

    Args:
        stop: the script's own function, of trials and of what it returned last.
        before: trials of which those that have a loss count as asked.
    """

    def __init__(self, stop: Callable[..., tuple[bool, Sequence[Any]]], before: hyperopt.Trials) -> None:
        self._stop = stop
        self._ended = [trial for trial in before if _has_loss(trial)]
        self._seen = {trial["tid"] for trial in self._ended}

    def __call__(self, trials: hyperopt.Trials, *args: Any) -> tuple[bool, Sequence[Any]]:
        more: Sequence[Any] = args
        for trial in trials:
            if trial["tid"] in self._seen or not _has_loss(trial):
                continue
            self._ended.append(trial)
            self._seen.add(trial["tid"])
            stops, more = self._stop(hyperopt.trials_from_docs(self._ended, validate=False), *more)
            if stops:
                return True, more
        return False, more


def _has_loss(trial: Mapping[str, Any]) -> bool:
    return bool(trial["state"] == JOB_STATE_DONE and trial["result"]["status"] == STATUS_OK)


@contextlib.contextmanager
def _evaluation_of(domain: Any) -> Iterator[Evaluation]:
    """The function that evaluates points: on Ray workers if ``hpo.connect`` was called, and otherwise in this thread."""
    if not ("ray" in sys.modules and cluster.is_connected()):
        yield domain.evaluate
        return
    there = cluster.start_conversations(
        lambda point, ask: domain.evaluate(point, None, attach_attachments=False), lambda point, question: None
    )

    def evaluate(point: dict[str, Any], ctrl: Ctrl) -> dict[str, Any]:
        result: dict[str, Any] = there.call(point)
        for name, attachment in result.pop("attachments", {}).items():
            ctrl.attachments[name] = attachment
        return result

    try:
        yield evaluate
    finally:
        there.close()
