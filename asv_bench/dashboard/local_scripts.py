"""asv's pages without a network: the scripts they load from elsewhere, beside them.

The packages are pinned in npm/package.json, their bytes in npm/package-lock.json. Where asv's page
names a hash, a copy with other bytes loses it; that is so for those that the registry has in
another form only.
"""

import base64
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

NPM = Path(__file__).with_name("npm")

#: The file that a page asks for -> the file in a package.
COPIES = {
    "jquery-3.3.1.min.js": "jquery/dist/jquery.min.js",
    "jquery.flot.min.js": "flot/jquery.flot.js",
    "jquery.flot.time.min.js": "flot/jquery.flot.time.js",
    "jquery.flot.selection.min.js": "flot/jquery.flot.selection.js",
    "jquery.flot.categories.min.js": "flot/jquery.flot.categories.js",
    "jquery.flot.orderBars.js": "flot-orderbars/js/jquery.flot.orderBars.js",
    "stupidtable.min.js": "stupid-table-plugin/stupidtable.min.js",
    "md5.min.js": "blueimp-md5/js/md5.min.js",
    "bootstrap.min.js": "bootstrap/dist/js/bootstrap.min.js",
    "bootstrap.min.css": "bootstrap/dist/css/bootstrap.min.css",
}
_LICENCES = ("LICENSE", "LICENSE.txt", "package.json")

_LOADED = re.compile(
    r'(?P<name>src|href)="(?P<url>https?://[^"]+?\.(?:js|css))"'
    r'(?: integrity="(?P<hash>[^"]+)")?(?: crossorigin="[^"]*")?(?: referrerpolicy="[^"]*")?'
)


def fetch():
    """The folder of the installed packages; npm brings them the first time."""
    modules = NPM / "node_modules"
    if not all((modules / path).is_file() for path in COPIES.values()):
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("dashboard: needs npm, for the scripts of asv's pages")
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(command, cwd=NPM, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"dashboard: npm ci failed: {done.stderr.strip()[-500:]}")
    return modules


def localise(page, modules):
    """Make the HTML file `page` load everything from the folder ``scripts`` beside it."""
    folder = page.with_name("scripts")
    folder.mkdir(exist_ok=True)

    def copied(match):
        asked = match["url"].rsplit("/", 1)[1]
        if asked not in COPIES:
            raise SystemExit(f"dashboard: no local copy of {match['url']}; add it to COPIES")
        source = modules / COPIES[asked]
        shutil.copyfile(source, folder / asked)
        _keep_licence(modules, source, folder)
        local = f'{match["name"]}="scripts/{asked}"'
        if match["hash"] and _has_hash(source, match["hash"]):
            local += f' integrity="{match["hash"]}"'
        return local

    text = page.read_text(encoding="utf-8")
    page.write_text(_LOADED.sub(copied, text), encoding="utf-8")


def _keep_licence(modules, source, folder):
    package = source.relative_to(modules).parts[0]
    target = folder / "licences" / package
    target.mkdir(parents=True, exist_ok=True)
    for name in _LICENCES:
        if (modules / package / name).is_file():
            shutil.copyfile(modules / package / name, target / name)


def _has_hash(path, integrity):
    algorithm, _, wanted = integrity.partition("-")
    found = hashlib.new(algorithm, path.read_bytes()).digest()
    return base64.b64encode(found).decode() == wanted
