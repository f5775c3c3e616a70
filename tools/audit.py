"""Ask the Python advisory service about every package of a lock file: `python tools/audit.py requirements.lock ...`.

pip-audit calls packages that it could not ask about a success. Here they are counted, and an audit of nothing says that
it was skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

COMMAND = (
    sys.executable,
    "-m",
    "pip_audit",
    "--require-hashes",
    "--disable-pip",
    "--progress-spinner=off",
    "-f",
    "json",
)
#: What pip-audit says of a connection that failed, and what it lets through of one that a proxy refused.
UNREACHABLE = ("your network may be blocking this service", "requests.exceptions.")


@dataclass(frozen=True)
class Verdict:
    """What is known of a lock file's packages.

    Attributes:
        vulnerable: a line for each advisory.
        asked: number of packages that the service knows.
        unknown: names of those that it does not.
    """

    vulnerable: tuple[str, ...]
    asked: int
    unknown: tuple[str, ...]


def read_verdict(output: str) -> Verdict:
    """The verdict in the JSON that pip-audit prints."""
    vulnerable, unknown, asked = [], [], 0
    for package in json.loads(output)["dependencies"]:
        if "skip_reason" in package:
            unknown.append(package["name"])
            continue
        asked += 1
        for advisory in package["vulns"]:
            fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
            vulnerable.append(f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
    return Verdict(tuple(vulnerable), asked, tuple(unknown))


def audit(lock: str) -> bool:
    """Audit one lock file and say what is found; whether it may pass."""
    done = subprocess.run([*COMMAND, "-r", lock], capture_output=True, text=True, check=False)
    if not done.stdout.strip() and not any(words in done.stderr for words in UNREACHABLE):
        print(f"error: {lock}: pip-audit failed: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
        return False
    verdict = read_verdict(done.stdout) if done.stdout.strip() else Verdict((), 0, ())
    if not verdict.asked:
        print(f"{lock}: audit SKIPPED: the advisory service cannot be reached from here; nothing is known, good or bad")
        return True
    for line in verdict.vulnerable:
        print(f"error: {lock}: {line}; raise it in pyproject.toml and run `make lock`")
    about = f"; not known to the service: {', '.join(verdict.unknown)}" if verdict.unknown else ""
    print(f"{lock}: {verdict.asked} packages asked about, {len(verdict.vulnerable)} advisories{about}")
    return not verdict.vulnerable


def main(locks: Sequence[str]) -> None:
    """Audit every lock file; exit status 1 if one has a known vulnerability."""
    sys.exit(0 if all([audit(lock) for lock in locks]) else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
