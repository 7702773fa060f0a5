"""A throw-away repository for tests that drive the real commands: nobody's Git identity or home folder is touched."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from places import ROOT, copy_configuration

OUTPUTS = ("data", "models", "metrics", "reports")
DATA_STAGES = {"check", "modules", "fetch", "collect", "split"}
STAGES = DATA_STAGES | {"train@cheap", "train@strong", "propose", "train-verifier", "answer", "effects", "route"}
STAGES |= {"calibrate", "evaluate", "live", "bundle", "report"}
"""All but `ingest`, which has nothing to do without your own traces."""


class Workspace:
    """A throw-away repository and the commands that run in it: a copy of this one with the tests' configuration."""

    def __init__(self, folder: Path):
        """folder: where the repository and a home folder are, or are to be."""
        self.path, home = folder / "work space", folder / "home"
        quiet = {"DVC_NO_ANALYTICS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
        nobody = {"HOME": str(home), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | quiet | nobody | {"PATH": tools}
        self._hashed: dict[tuple, str] = {}
        if self.path.exists():
            return
        home.mkdir(parents=True)
        script = [str(ROOT / "scripts/copy_workspace.sh"), str(self.path)]
        subprocess.run(script, env=self.environment, check=True)
        copy_configuration(self.path)
        self.run("git", "commit", "--quiet", "--all", "--message", "the tests' configuration")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        """Run a command; stdout and stderr together in `.stdout`."""
        return subprocess.run(
            command,
            cwd=self.path,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def dvc(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return self.run(sys.executable, "-m", "dvc", *arguments, **environment)

    def python(self, *arguments: str) -> subprocess.CompletedProcess:
        return self.run(sys.executable, *arguments)

    def ran(self, output: str) -> list[str]:
        """The stages that dvc says it runs."""
        return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]

    def sources(self) -> dict[Path, bytes]:
        """What people edit: code and configuration."""
        files = (f for folder in ("specacts", "stages", "configs") for f in (self.path / folder).rglob("*"))
        sources = [f for f in files if f.is_file() and f.parent.name != "__pycache__"]
        return {path: path.read_bytes() for path in (*sources, self.path / "params.yaml")}

    def hashes(self) -> dict[str, str]:
        """Every output file with its hash."""
        files = (f for folder in OUTPUTS for f in (self.path / folder).rglob("*") if f.is_file())
        return {str(f.relative_to(self.path)): self._hash(f) for f in sorted(files)}

    def _hash(self, path: Path) -> str:
        """Of a file that was not written to since it was hashed, the same: no write leaves the time of change alone."""
        about = path.stat()
        state = (path, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if state not in self._hashed:
            self._hashed[state] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._hashed[state]

    def json(self, name: str) -> dict:
        return json.loads((self.path / name).read_text())

    def text(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def report(self) -> str:
        """The report's first page, then its appendix."""
        return self.text("reports/report.md") + self.text("reports/appendix.md")

    def replace(self, name: str, changes: dict[str, str]) -> None:
        """Put other words into a file; each has to be there."""
        text = self.text(name)
        for old, new in changes.items():
            assert old in text, f"{name}: {old}"
            text = text.replace(old, new)
        (self.path / name).write_text(text, encoding="utf-8")

    def changed(self) -> set[str]:
        """The stages whose own dependencies or parameters differ from the latest run's."""
        return set(json.loads(self.dvc("status", "--json").stdout))
