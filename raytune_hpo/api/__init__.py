"""Public interface: Tuner, Study, Run, callbacks, and access to stored studies."""
