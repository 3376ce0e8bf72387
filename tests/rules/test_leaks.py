"""No file of the project names somebody's machine, or the address that packages come from.

The patterns are written so that they do not match themselves.
"""

from __future__ import annotations

import re

import pytest

from rules.house import ROOT, project_files

PATTERNS = {
    "a path of one machine": r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/",
    "a scratch folder": r"(?<![\w.])/tmp/\w",
    "the address of a package index": r"(?:pypi\.org|pythonhosted\.org|npmjs\.org|proxy\.golang\.org|repo1?\.maven\.)",
    "an index setting": r"(?:--(?:extra-)?index[-]url|index[-]url *=|find[-]links *=)",
    "a registry setting": r"^ *registry *= *[\"']?(?:http|//)",
    "a secret": r"(?:BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{30,})",
}
#: The licence is not ours to write.
NOT_OURS = {"LICENSE"}
#: Bytes at the start in which a NUL means "not text" (what git looks at too).
SNIFFED_BYTES = 8000


def leaks(text: str) -> list[str]:
    """Find lines that name what they must not, as `line: what: the line`."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        found += [
            f"{number}: {what}: {line.strip()[:100]}" for what, p in PATTERNS.items() if re.search(p, line)
        ]
    return found


def test_no_file_names_a_machine_or_an_index() -> None:
    found = []
    for path in project_files():
        content = (ROOT / path).read_bytes()
        if str(path) not in NOT_OURS and b"\0" not in content[:SNIFFED_BYTES]:
            found += [f"{path}:{leak}" for leak in leaks(content.decode("utf-8", errors="replace"))]
    assert found == []


def test_the_lock_has_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    pins = re.findall(
        r"^[a-z0-9-]+==\S+(?: ;.*)? \\\n    --hash=sha256:[0-9a-f]{64}", lock, flags=re.MULTILINE
    )
    assert len(pins) == len(re.findall(r"^[a-z0-9]", lock, flags=re.MULTILINE)) > 0


@pytest.mark.parametrize(
    "line",
    [
        "path = '/" + "root/project'",
        "cd /" + "work/main",
        "see /" + "tmp/out.txt",
        "pip install --index" + "-url https://example.org/simple",
        "index" + "-url = https://example.org/simple",
        "  registry" + " = https://example.org",
        "https://" + "pypi" + ".org/simple",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
    ],
)
def test_a_leak_is_caught(line: str) -> None:
    assert leaks("fine\n" + line)


@pytest.mark.parametrize(
    "line", ["registry = SchemaRegistryClient(url)", "a/root/b", "--no-emit-index" + "-url"]
)
def test_what_is_fine_passes(line: str) -> None:
    assert leaks(line) == []
