"""`ray stop` on the laptop of machines.py, beside a process that it takes for Ray's; prints what it saw and ended."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

program = shutil.copy("/usr/bin/sleep", "/srv/raylet")
victim = subprocess.Popen([program, "3600"])
seen = psutil.pids()
subprocess.run([Path(sys.executable).with_name("ray"), "stop"], check=True, stdout=sys.stderr)
print(json.dumps({"seen": seen, "victim": victim.wait(60)}))
