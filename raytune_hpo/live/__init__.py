"""Tuning of running systems: a baseline, guards, a canary group, and a way back at any time.

plan         what a live study may do: guards, shares, budgets
contexts     classes of context: each has a promoted configuration of its own
rolling      sums over the last hours, for budgets
fold         the state that the facts of a live study add up to
timeline     what it did, when and why
deciding     what is due: which windows come next, and whether to freeze
machine      commands in, facts and effects out; no clock, disk or network
replaying    every decision once more, from the facts alone
appliers     how a configuration gets into the running system, and measurements out of it
seat         what an applier remembers by itself: the newest change, the lease, and whether it is frozen
requests     what people ask of a controller that runs in another process
controller   the loop around the machine: clock, journal, applier
stored       a stored live study, and what people ask of it
choosing     choices inside of a service: ``live.decide``
live         ``hpo.Live``
spec_file    a live study as a TOML file
telling      a live study in words
command_applier, file_applier, http_applier, pull_applier    appliers that run programs, write files, talk HTTP or ask
             Prometheus, and for systems that ask
pull_board   where a system that asks and its controller leave word for each other
"""

from __future__ import annotations
