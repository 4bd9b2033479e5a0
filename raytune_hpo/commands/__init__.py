"""Programs as objectives: launched, limited and measured, for ``hpo.Command`` and ``raytune-hpo command``.

template, shell_text      the command line, and the substitution of values into it
launcher, launching       one run: a small process that starts the program, and the call that starts that process
control_groups            cgroups, where a folder has been delegated
program                   a command with its hooks, and why a run is a failure
metric_specs              the metrics of a run, as they are written
outcome                   what a run has left: measurements, output, files
repeating                 how often a configuration runs
surroundings              other load on the machine; measuring_slots: one measurement at a time
command_values            names, values, the environment
command                   ``Command``, the objective
parameters, inputs        spaces and inputs as they are typed; aggregating: aggregates over inputs other than means
answering                 the answer of a search: the command to use, and by how much it is better
searching                 the whole of ``raytune-hpo command``
"""

from raytune_hpo.commands.command import Command

__all__ = ["Command"]
