import subprocess
import sys

SCRIPT = """
import sys
from raytune_hpo import samplers, schedulers, testing
from raytune_hpo.space import Float, Space
for make in (samplers.Random, samplers.Sobol, samplers.Hyperopt):
    make().bind(Space({"x": Float(0, 1)}), testing.GOALS, 0)
print(sorted({"scipy", "hyperopt", "ray", "sklearn", "pandas"} & set(sys.modules)))
"""


def test_heavy_packages_are_loaded_where_they_are_used():
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
