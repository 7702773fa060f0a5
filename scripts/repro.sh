#!/usr/bin/env bash
# `dvc repro`, also where there is no Git, as in an unpacked archive: DVC is told so for this run alone.
#
#     scripts/repro.sh
set -uo pipefail

export PATH="$PWD/.venv/bin:$PATH"
# DVC reads your traces before it runs anything that could refuse them: a pipe among them would hold it up for ever.
python -m stages.check || exit 1
if git rev-parse --git-dir >/dev/null 2>&1; then
    if grep -qs no_scm .dvc/config.local; then # earlier versions of this project left it there
        python -m dvc config --quiet --local --unset core.no_scm
    fi
    exec python -m dvc repro
fi
theirs=$(python -c 'from dvc.dirs import global_config_dir; print(global_config_dir())')
mkdir -p .work/without_git
if ! cp "$theirs/config" .work/without_git/config 2>/dev/null; then
    : >.work/without_git/config
fi
export DVC_GLOBAL_CONFIG_DIR="$PWD/.work/without_git"
python -m dvc config --quiet --global core.no_scm true
exec python -m dvc repro
