"""``python -m raytune_hpo.cli``, for use when the script is not installed."""

from raytune_hpo.cli import main

main(prog_name="raytune-hpo")
