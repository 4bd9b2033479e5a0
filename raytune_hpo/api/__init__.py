"""What a user calls.

tuner      Tuner, tune and simulate: one study, from keywords to results
run        a running study
study      ask and tell: a study in your own loop
stored     studies found again: load, attach
callbacks  functions that are told the facts of a study
userfile   a user's Python file, loaded as a module
"""
