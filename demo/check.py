"""Compares the findings of a scan of `make demo` with what must be there.

    check.py TYPE FINDINGS.json TOOL...   exits 1 when these tools did not find what they must
    check.py summary FINDINGS.json        prints how many findings there are, and of which tools
"""
import collections
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent


def rows(path):
    """The lines of a table, without its head."""
    text = path.read_text(encoding="utf-8")
    return [tuple(line.split("\t")) for line in text.splitlines()[1:]]


def application(findings):
    """What is missing and what is too much among the findings of the application: it is known whole."""
    found = sorted((f["ruleId"], f["file"] or "", str(f["line"])) for f in findings)
    expected = sorted(rows(HERE / "expected-findings.tsv"))
    missing = [f"missing: {row}" for row in expected if row not in found]
    surplus = [f"not expected: {row}" for row in found if row not in expected]
    # Equal lines are counted, too.
    return missing + surplus or ([] if found == expected else [f"{len(found)} findings, not {len(expected)}"])


def must_find(scan_type, findings, tools):
    """What these tools should have found and did not."""
    found = [(f["tool"], f["ruleId"], f["location"] or "") for f in findings]
    wanted = [row[1:] for row in rows(HERE / "must-find.tsv") if row[0] == scan_type and row[1] in tools]
    unknown = [f"must-find.tsv has nothing about {tool}" for tool in tools if tool not in {row[0] for row in wanted}]
    return unknown + [
        f"missing: {tool}: {rule} at {place}"
        for tool, rule, place in wanted
        if not any(f[:2] == (tool, rule) and place in f[2] for f in found)
    ]


def main(what, path, *tools):
    findings = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["findings"]
    if what == "summary":
        counts = collections.Counter(f["tool"] for f in findings)
        each = ", ".join(f"{count} of {tool}" for tool, count in sorted(counts.items()))
        print(f"{len(findings)} findings ({each})")
        return
    problems = application(findings) if what == "codeaudit" else must_find(what, findings, tools)
    for problem in problems:
        print(f"demo: {what}: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


main(*sys.argv[1:])
