"""Tuning of running systems: a baseline, guards, a canary group, and a way back at any time.

plan         what a live study may do: guards, shares, budgets
contexts     classes of context: each has a promoted configuration of its own
fold         the state that the facts of a live study add up to
deciding     what is due: which windows come next, and whether to freeze
machine      commands in, facts and effects out; no clock, disk or network
replaying    every decision once more, from the facts alone
appliers     how a configuration gets into the running system, and measurements out of it
seat         what an applier remembers by itself: the newest change, the lease, and whether it is frozen
requests     what people ask of a controller that runs in another process
controller   the loop around the machine: clock, journal, applier
dead_man     who goes back to the baseline when no controller is left
choosing     choices inside of a service: ``live.decide``
live         ``hpo.Live``
spec_file    a live study as a TOML file
telling      a live study in words
"""

from __future__ import annotations
