"""Are the locked dependencies known to be vulnerable, and may Kintsugi be given away with them?

``make audit`` asks a database of vulnerabilities (OSV's, in one request) about every line of ``constraints.txt``, and
looks at the licence of everything that an installed Kintsugi needs. What is known and accepted stands in ``audit.yaml``
with a reason. Exit code 1: something is found that does not stand there. A database that cannot be reached is said
plainly and fails nothing, so that a build without a network passes.
"""

import argparse
import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DATABASE = "https://api.osv.dev"
# A database that does not know this one knows nothing: an empty answer is no good news.
KNOWN_TO_BE_VULNERABLE = ("jinja2", "2.4.1")
COPYLEFT = re.compile(r"(?<![A-Z])A?GPL|GNU (Affero )?General Public", re.IGNORECASE)


class NotAuditedError(Exception):
    """The database gave no answer that can be relied on."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one package.

    Attributes:
        package: Its name.
        what: The vulnerability's names, or ``licence``.
        text: What a person should know of it.
    """

    package: str
    what: tuple[str, ...]
    text: str


def main() -> int:
    """Both audits; the exit code."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--database", default=DATABASE, help="address of an OSV database")
    options.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    options.add_argument("--accepted", type=Path, default=Path(__file__).with_name("audit.yaml"))
    options.add_argument("--package", default="kintsugi-ml", help="whose runtime dependencies must be free")
    given = options.parse_args()
    accepted = read_accepted(given.accepted)
    packages = locked(given.constraints)
    wrong = 0
    try:
        found = list(vulnerabilities(packages, given.database))
        wrong += report(f"vulnerabilities in {len(packages)} locked packages", found, accepted["vulnerabilities"])
    except NotAuditedError as reason:
        print(f"NOT AUDITED for vulnerabilities: {reason}")
    needed = runtime(given.package)
    wrong += report(f"licences of {len(needed)} packages at run time", list(copyleft(needed)), accepted["licences"])
    return 1 if wrong else 0


def read_accepted(file: Path) -> dict[str, dict[str, str]]:
    """Kind of finding to its name (an id or a package) to the reason why it is accepted."""
    said = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    kinds = ("vulnerabilities", "licences")
    for kind, entries in said.items():
        if kind not in kinds or not all(isinstance(reason, str) and reason.strip() for reason in entries.values()):
            sys.exit(f"{file} must hold {' and '.join(kinds)}, each a mapping from a name to a reason; see {kind!r}")
    return {kind: said.get(kind) or {} for kind in kinds}


def report(title: str, found: list[Finding], accepted: Mapping[str, str]) -> int:
    """Print what was found; the number of findings that nobody has accepted."""
    wrong = 0
    used = set()
    for finding in found:
        names = [name for name in (*finding.what, finding.package) if name in accepted]
        used.update(names)
        wrong += not names
        verdict = f"accepted: {accepted[names[0]]}" if names else "NOT ACCEPTED"
        print(f"  {finding.package}  {' '.join(finding.what)}  {finding.text}\n    {verdict}")
    for name in sorted(set(accepted) - used):
        print(f"  {name} is accepted and no longer found; take it out of audit.yaml")
    print(f"{title}: {len(found)} found, {wrong} not accepted")
    return wrong


def locked(constraints: Path) -> dict[str, str]:
    """Name to version of every line ``name==version``."""
    lines = (line.split(";")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name.split("[")[0]): version.strip() for name, version in pairs}


def vulnerabilities(packages: Mapping[str, str], database: str) -> Iterator[Finding]:
    """What the database knows of these versions.

    Raises:
        NotAuditedError: It cannot be reached, refuses, or does not know what every such database knows.
    """
    asked = [KNOWN_TO_BE_VULNERABLE, *packages.items()]
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in asked]
    with httpx.Client(base_url=database, timeout=30) as client:
        results = _answer(client, "POST", "/v1/querybatch", {"queries": queries}).get("results", [])
        if len(results) != len(asked) or not results[0].get("vulns"):
            raise NotAuditedError(f"{database} does not know that {'=='.join(KNOWN_TO_BE_VULNERABLE)} is vulnerable")
        for (name, version), result in zip(asked[1:], results[1:], strict=True):
            for entry in result.get("vulns", []):
                about = _answer(client, "GET", f"/v1/vulns/{entry['id']}", None)
                if not about.get("withdrawn"):
                    names = (entry["id"], *about.get("aliases", []))
                    yield Finding(name, names, f"in {version}: {about.get('summary') or 'no summary'}")


def _answer(client: httpx.Client, method: str, path: str, body: object) -> dict[str, Any]:
    try:
        response = client.request(method, path, json=body)
        response.raise_for_status()
        content = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise NotAuditedError(f"{client.base_url} cannot be asked ({error or type(error).__name__})") from error
    if not isinstance(content, dict):
        raise NotAuditedError(f"{client.base_url} answers with something that is no OSV database's")
    return content


def runtime(package: str) -> dict[str, importlib.metadata.Distribution]:
    """Everything that an installed ``package`` needs, itself left out, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    seen, waiting = set(), [(package, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # left out on purpose: see override-dependencies in pyproject.toml
        found[name] = distribution
        for line in distribution.requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(needed.name), each) for each in ("", *needed.extras)]
    found.pop(package, None)
    return found


def copyleft(packages: Mapping[str, importlib.metadata.Distribution]) -> Iterator[Finding]:
    """Those whose licence asks for the source of whatever they are used in, and those that name no licence."""
    for name, distribution in sorted(packages.items()):
        said = licence(distribution)
        free = [choice for choice in re.split(r"\bOR\b", said) if not COPYLEFT.search(choice)]
        if not said or not free:
            yield Finding(name, ("licence",), said or "names no licence")


def licence(distribution: importlib.metadata.Distribution) -> str:
    """What a package says of its licence: an SPDX expression, classifiers, or the first line of its own words."""
    about = distribution.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    named = [str(line).split(" :: ")[-1] for line in about.get_all("Classifier", []) if str(line).startswith("License")]
    words = [line.strip() for line in str(about.get("License") or "").splitlines() if line.strip()]
    return ", ".join(part for part in named if part != "OSI Approved") or (words[0] if words else "")


if __name__ == "__main__":
    sys.exit(main())
