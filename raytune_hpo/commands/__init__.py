"""Programs as objectives: launched, limited and measured, by the command line and by ``hpo.Command``.

template, shell_text      the command, and how values get into it
launcher, launching       one run: a small process that starts the program, and the call that has it do so
control_groups            cgroups, where a folder has been delegated
program                   a command with all that is around it, and why a run is a failure
metric_specs              what is measured of it
repeating                 how often it runs
surroundings              what else the machine does; measuring_slots: one measurement at a time
command_values            names, values, the environment
command                   ``Command``, the objective
parameters, inputs        spaces and instances as they are typed; aggregating: other than means over the latter
answering                 what a search says: the command to use, and by how much it is better
searching                 the whole of ``raytune-hpo command``
"""

from raytune_hpo.commands.command import Command

__all__ = ["Command"]
