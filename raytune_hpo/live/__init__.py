"""Live tuning of running systems: a baseline, guards, a canary group, and rollback at any time.

plan         the rules of a live study: guards, shares, budgets
contexts     classes of context: each has its own promoted configuration
rolling      sums over the last hours, for budgets
fold         the state of a live study as a fold of its facts
timeline     its history: what happened, when and why
deciding     what is due: which windows come next, and whether to freeze
machine      commands in, facts and effects out; no clock, disk or network
replaying    every decision computed again, from the facts alone
appliers     the contract of appliers, which change and measure the running system
testing      the contract suite of appliers
seat         the state that an applier keeps in a folder: the newest change, the heartbeat, and the freeze
requests     people's commands to a controller that runs in another process
controller   the loop around the machine: clock, journal, applier
stored       a stored live study, and people's commands to it
choosing     the applier for ``live.decide``, inside a service
live         ``hpo.Live``
spec_file    a live study as a TOML file
telling      a live study in words
command_applier, file_applier, http_applier, pull_applier    appliers that run programs, write files, use HTTP and
             Prometheus, and for systems that poll
pull_board   the folder through which a polling system and its controller exchange data
"""

from __future__ import annotations
