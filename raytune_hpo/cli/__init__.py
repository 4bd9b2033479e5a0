"""Command line, ``raytune-hpo``. Heavy modules are imported by the commands that need them.

app             the command group, common options, output as text or JSON
control         run, stop, enqueue
commands        command
study_options   options shared by the commands that run a study
stored          studies, show, best, trials, export, report, audit, delete
checkpoints     checkpoint
trials          one trial in full: attempts, reports, output
optml           optml
experiment      experiment, experiments
tables          tabulate
parts           samplers, schedulers
service         serve, token, worker
live            live run, watch, status, show, approve, freeze, thaw, adopt, log, rollback, baseline, diff, replay
workshop        labs
"""

from __future__ import annotations

from raytune_hpo.cli.app import cli
from raytune_hpo.cli.checkpoints import checkpoint
from raytune_hpo.cli.commands import command
from raytune_hpo.cli.control import enqueue, run, stop
from raytune_hpo.cli.experiment import experiment, experiments
from raytune_hpo.cli.live import live
from raytune_hpo.cli.optml import optml
from raytune_hpo.cli.parts import samplers, schedulers
from raytune_hpo.cli.service import serve, token, worker
from raytune_hpo.cli.stored import audit, best, delete, export, report, show, studies, trials
from raytune_hpo.cli.tables import tabulate
from raytune_hpo.cli.workshop import labs

for _command in (
    run,
    command,
    studies,
    show,
    best,
    trials,
    checkpoint,
    export,
    report,
    stop,
    enqueue,
    delete,
    audit,
    optml,
    experiment,
    experiments,
    tabulate,
    samplers,
    schedulers,
    serve,
    token,
    worker,
    live,
    labs,
):
    cli.add_command(_command)

main = cli

__all__ = ["main"]
