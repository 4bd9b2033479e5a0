"""Running: workers and what they say, and two places where trials run. Ray has a room of its own.

settings         what a user may set of a study, checked
plan             a study to be run, and what a running one offers
resuming         taking a study up: new, again, or after its optimizer was lost
trial_run        one call of the objective: its reports, its end
output, threads  what a trial prints; threads that belong to it
worker           a worker's loop: ask, run, tell
desk             what workers say, as commands; without I/O
async_desk       a desk on an event loop, with group_commit and waiting_workers
wire             messages as tuples
local            trials in threads of this process
simulated        trials on a virtual clock
calls            calls of one function in parallel, for faces that drive a Study
repeats          an objective run again for chosen configurations
"""
