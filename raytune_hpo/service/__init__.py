"""Service: studies over HTTP, for people, scripts and workers in any language.

One process, ``raytune-hpo serve``. Every answer is a fold over facts, and the number of facts is its version: ETags, event
ids and cursors carry it. Only the modules that serve need the extra ``serve``.

problems, bodies, shapes, validation_words, floats      checks of requests, and explanations of refusals
tokens, access, guards        who may do what, and from where
folds, listing, records, comparing, code       reading: one warm fold for each study, and what is shown of it
leases, quarantine, http_workers               the workers over HTTP of one study: their leases, requests and replies
hosting, cluster_study, new_study              studies whose optimizer is here, or on Ray with such workers beside its own
models/                       studies that the service measures by itself: models on tables, installed objectives
jobs                          work that takes longer than a request
live_studies                  live studies: their journals, and the folders in which their appliers keep their state
reading_routes, insight_routes, data_routes, study_routes, worker_routes, live_routes      the handlers
app, segments, openapi, events, serving        the server
web/                          pages for people
client, command_worker        the other end: a Python client, and a worker that runs a command
"""
