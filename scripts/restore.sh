#!/usr/bin/env bash
# After a failed `dvc repro`: bring back the outputs that DVC cleared before the failing stage ran.
#
#     scripts/restore.sh
#
# What is there stays as it is.
set -uo pipefail

python -m dvc checkout --quiet 2>/dev/null
git ls-files -z --deleted -- metrics reports 2>/dev/null | xargs -0 -r git checkout --quiet --
exit 0
