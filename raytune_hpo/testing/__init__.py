"""Contract suites for samplers, schedulers, domains and journals, for built-in parts and for those of other packages.

A package that provides a sampler runs all checks with:

    from raytune_hpo import testing
    CASES = testing.sampler_cases(lambda: MySampler(alpha=0.3))  # not the defaults: bind has to pass them on

    @pytest.mark.parametrize("case", CASES)
    def test_contract(case):
        CASES[case]()

A case is a check bound to its arguments; it returns, or raises an AssertionError that names the broken rule. ``start``,
``report`` and ``finish`` build trials from facts as the optimizer would, ``Loop`` is an optimizer for one sampler, and
``race`` runs learning curves under a scheduler and resumes those that it promotes. ``journal_cases`` needs a place to
write to for each check.
"""

from raytune_hpo.testing.domains import (
    check_cells,
    check_json_form,
    check_plain_values,
    check_positions,
    check_round_trip,
    check_values_fit,
    domain_cases,
)
from raytune_hpo.testing.journals import (
    JOURNAL_CHECKS,
    JournalPlace,
    check_place_that_cannot_be_made,
    journal_cases,
    journal_facts,
)
from raytune_hpo.testing.promoters import (
    PROMOTER_CHECKS,
    check_keeps,
    check_nobody_is_stranded,
    check_promote_reads_only,
    check_promoter_replay,
    check_promotes_for_several_goals,
    check_repeated_observations,
    check_slow_trials,
    promoter_cases,
)
from raytune_hpo.testing.races import Race, SchedulerMaker, curves, race
from raytune_hpo.testing.samplers import (
    SAMPLER_CHECKS,
    SamplerMaker,
    check_ask_changes_nothing,
    check_ask_twice,
    check_bind_is_fresh,
    check_constraints,
    check_inside,
    check_is_a_sampler,
    check_learns,
    check_pending,
    check_replay,
    check_several_goals,
    check_survives,
    histories,
    history,
    sampler_cases,
    spaces,
)
from raytune_hpo.testing.schedulers import (
    SCHEDULER_CHECKS,
    check_equals_survive,
    check_good_survive,
    check_ignores_own_entry,
    check_is_a_scheduler,
    check_judge_reads_only,
    check_next_step,
    check_pauses,
    check_repeat_replaces,
    check_reports_without_losses,
    check_scheduler_bind_is_fresh,
    check_scheduler_replay,
    scheduler_cases,
)
from raytune_hpo.testing.trials import (
    GOALS,
    SEED,
    TWO_GOALS,
    Loop,
    bowl,
    check_documented,
    finish,
    go_on,
    pause,
    report,
    restart,
    start,
)

__all__ = [
    "GOALS",
    "JOURNAL_CHECKS",
    "PROMOTER_CHECKS",
    "SAMPLER_CHECKS",
    "SCHEDULER_CHECKS",
    "SEED",
    "TWO_GOALS",
    "JournalPlace",
    "Loop",
    "Race",
    "SamplerMaker",
    "SchedulerMaker",
    "bowl",
    "check_ask_changes_nothing",
    "check_ask_twice",
    "check_bind_is_fresh",
    "check_constraints",
    "check_cells",
    "check_documented",
    "check_equals_survive",
    "check_good_survive",
    "check_ignores_own_entry",
    "check_is_a_scheduler",
    "check_inside",
    "check_is_a_sampler",
    "check_json_form",
    "check_judge_reads_only",
    "check_keeps",
    "check_learns",
    "check_next_step",
    "check_nobody_is_stranded",
    "check_pauses",
    "check_pending",
    "check_place_that_cannot_be_made",
    "check_plain_values",
    "check_positions",
    "check_promote_reads_only",
    "check_promoter_replay",
    "check_promotes_for_several_goals",
    "check_repeat_replaces",
    "check_repeated_observations",
    "check_replay",
    "check_reports_without_losses",
    "check_round_trip",
    "check_scheduler_bind_is_fresh",
    "check_scheduler_replay",
    "check_several_goals",
    "check_slow_trials",
    "check_survives",
    "check_values_fit",
    "curves",
    "domain_cases",
    "finish",
    "go_on",
    "histories",
    "history",
    "journal_cases",
    "journal_facts",
    "pause",
    "promoter_cases",
    "race",
    "report",
    "restart",
    "sampler_cases",
    "scheduler_cases",
    "spaces",
    "start",
]
