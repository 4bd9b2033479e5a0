"""``python -m raytune_hpo``: the command line, where its script is not on the PATH."""

from __future__ import annotations

from raytune_hpo.cli import main

if __name__ == "__main__":
    main(prog_name="raytune-hpo")
