"""Service: studies over HTTP, for people, scripts and workers in any language.

One process, ``raytune-hpo serve``. Everything that it says is a fold over facts, and the number of facts is its clock: it
stands in ETags, event ids and cursors. Only the modules that serve need the extra ``serve``.

problems, bodies, shapes      what comes in is checked, and what is refused is explained
tokens, access, guards        who may do what, and from where
folds, listing, records, comparing, code       reading: one warm fold for each study, and what is shown of it
leases, quarantine, http_workers               workers over HTTP of one study, and what is said between them
hosting, cluster_study, new_study              studies whose optimizer is here, or on Ray with such workers beside its own
models/                       studies that the service measures by itself: models on tables, installed objectives
jobs                          work that takes longer than a request
live_studies                  live studies: their journals, and the folders in which their appliers remember
reading_routes, insight_routes, data_routes, study_routes, worker_routes, live_routes      what is answered
app, openapi, events, serving                  the server
web/                          pages for people
client, command_worker        the other end: a Python client, and a worker that runs a command
"""
