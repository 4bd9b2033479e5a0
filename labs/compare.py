"""Studies side by side, read back from their journal: what each found, and where to look.

python labs/compare.py NAME[=PAGE.html] ...
"""

import argparse

import raytune_hpo as hpo

COLUMNS = "{:32} {:>6} {:>13} {:>6} {:>13}  {:16} {}"


def describe(name, page, storage):
    """One line about a study, which may have run in another process or on another day: the journal has all of it."""
    results = hpo.load(name, storage=storage)
    counts = results.num_by_status
    worker_time = f"{sum(trial.duration_s or 0 for trial in results):.1f} s"
    best = f"{results.goals[0].metric} {results.best_value:.4f}"
    return COLUMNS.format(name, len(results), counts["pruned"], counts["failed"], worker_time, best, page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "studies", nargs="+", metavar="NAME[=PAGE]", help="a study, and the page that was written for it"
    )
    parser.add_argument("--storage", help="URL of the journal (default: SQLite in ~/.raytune_hpo)")
    args = parser.parse_args()
    named = [study.partition("=") for study in args.studies]
    print(COLUMNS.format("study", "trials", "stopped early", "failed", "worker time", "best", "page"))
    for name, _, page in named:
        print(describe(name, page, args.storage))
    print()
    for name, _, _ in named:
        print(f"raytune-hpo show {name}")


if __name__ == "__main__":
    main()
