#!/usr/bin/env bash
# Make a throw-away Git repository of the working tree's tracked and new files, to run the pipeline in:
#
#     scripts/copy_workspace.sh FOLDER      # FOLDER is replaced
#
# Downloads and converted models are shared, so that nothing is fetched twice.
set -euo pipefail

from="$(cd "$(dirname "$0")/.." && pwd)"
mkdir -p "$1"
to="$(cd "$1" && pwd)"
rm -rf "$to"
mkdir -p "$to/.work"

cd "$from"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -f "$file" ] || printf '%s\0' "$file" # else deleted here, not yet in Git
done | tar -chf - --null -T - | tar -xpf - -C "$to"
for cache in wheels bases; do
    [ ! -d ".work/$cache" ] || cp -R ".work/$cache" "$to/.work/"
done

cd "$to"
git init -q .
git config user.name specacts
git config user.email specacts@localhost
git add .
git commit -q -m "a throw-away copy"
