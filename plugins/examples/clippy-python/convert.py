"""Lines of `cargo clippy --message-format=json` into findings.

The platform reads the lines and picks the fields; only the places and the hints of a message, which are
lists, are parsed here. What each field becomes stands in ../README.md.
"""

import functools
import json

import tamiz_plugin as tamiz
from tamiz_plugin import Severity
from wit_world.imports.types import FlowStep

# What cargo says a line is about.
REASONS = {"compiler-message", "compiler-artifact", "build-script-executed", "build-finished", "timing-info"}

# Most messages have one place and at most four hints: those are picked ready for use. Longer lists come as
# JSON as well, and are parsed only when the field behind the last one that was picked is there.
HINTS = 4
HEAD = ["/reason", "/success", "/target/name", "/target/kind/0"]
MESSAGE = ["level", "code/code", "message", "spans", "spans/1", "children", f"children/{HINTS}"]
PLACE = [
    "file_name", "line_start", "column_start", "line_end", "column_end", "is_primary", "label", "text/0/text",
]
HINT = ["level", "message", "spans"]
FIELDS = [
    *HEAD,
    *(f"/message/{name}" for name in MESSAGE),
    *(f"/message/spans/0/{name}" for name in PLACE),
    *(f"/message/children/{number}/{name}" for number in range(HINTS) for name in HINT),
]
FIRST_PLACE = len(HEAD) + len(MESSAGE)
FIRST_HINT = FIRST_PLACE + len(PLACE)

# What rustc's words mean.
SEVERITIES = {
    "error": Severity.HIGH,
    "error: internal compiler error": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "note": Severity.LOW,
    "help": Severity.INFO,
}

# In front of the address of a lint's page.
READ_MORE = "for further information visit "
# In front of clippy's version in that address.
CLIPPY_PAGES = "/rust-clippy/rust-"
# Places and steps of one finding; honest ones have a handful.
PLACES_MAX = 20
TITLE_CHARACTERS_MAX = 300
TEXT_CHARACTERS_MAX = 16_000

# A text as JSON; few are different.
quoted = functools.lru_cache(maxsize=256)(json.dumps)


class Plugin(tamiz.Converter):
    name = "clippy-python"
    version = "1.0.0"
    scan_type = "codeaudit"
    formats = {"clippy-json": ["clippy"]}

    def read(self, input, report):
        report.tool = "clippy"
        name, success = input.name(), None
        for row in report.rows(input, tamiz.JSON_LINES, FIELDS):
            reason, built = row.values[0], row.values[1]
            if reason == "compiler-message":
                report.recognised = True
                convert(row, report)
            elif reason == "build-finished":
                report.recognised = True
                success = built == "true"
            elif reason in REASONS:
                report.recognised = True
        if not report.recognised:
            raise tamiz.unrecognized(
                f"`{name}` is no output of `cargo clippy --message-format=json`: no line of it has "
                "a `reason` that cargo knows"
            )
        if success is None:
            report.truncate("the report has no `build-finished`: cargo was stopped, or the report is cut")
        elif success:
            report.coverage = tamiz.Coverage.WHOLE
        else:
            report.coverage = tamiz.Coverage.PARTIAL
            report.tell("build-failed", "the build failed: what needs a crate with errors was not looked at")


def convert(row, report):
    """One message of the compiler; cargo's own summaries are left out."""
    values = row.values
    _, _, crate, kind, level, code, message = values[:7]
    if not message:
        report.skip(row, "has no message")
        return
    level, spans = level or "unknown", spans_of(values)
    if not code and is_summary(level, message, spans):
        return
    locations, steps, labels = sort_places(spans)
    hints = Hints(values)
    if hints.version and not report.tool_version:
        report.tool_version = hints.version
    category = "lint"
    if not code:
        category = "compile"
    elif is_error_code(code):
        category = "compile"
        hints.references.append(f"https://doc.rust-lang.org/error_codes/{code}.html")
    text = "\n".join([message, *labels, *hints.notes]) if labels or hints.notes else message
    extra = []
    if crate:
        extra.append(("crate", quoted(crate)))
    if kind:
        extra.append(("target", quoted(kind)))
    if hints.applicability:
        extra.append(("applicability", quoted(hints.applicability)))
    report.emit(tamiz.finding(
        tool="clippy",
        rule_id=code or f"rustc-{level}",
        title=message.split("\n", 1)[0][:TITLE_CHARACTERS_MAX],
        message=text[:TEXT_CHARACTERS_MAX],
        severity=report.severity(level, SEVERITIES, row),
        severity_raw=level,
        category=category,
        locations=locations,
        references=hints.references,
        remediation="\n".join(hints.advice)[:TEXT_CHARACTERS_MAX] or None,
        fix=hints.fix,
        code_flow=(steps + hints.steps)[:PLACES_MAX],
        origin=row.at,
        extra=extra,
    ))


def is_summary(level, message, spans):
    """`aborting due to 2 previous errors`, `3 warnings emitted`, `For more information about this error, …`."""
    if level == "failure-note":
        return True
    return not spans and (message.startswith("aborting due to ") or message.endswith(" emitted"))


def is_error_code(code):
    """`E0308`: an error of the compiler, not a lint."""
    return len(code) == 5 and code[0] == "E" and code[1:].isdigit()


def spans_of(values):
    """The places of a message: each a location, whether it is primary, and the compiler's words there."""
    path, line, column, line_end, column_end, primary, label, snippet = values[FIRST_PLACE:FIRST_HINT]
    if path and path[0] != "/" and values[8] is None:
        place = location(path, line, column, line_end, column_end, snippet)
        return [(place, primary == "true", label)]
    found = []
    for span in objects(values[7])[:PLACES_MAX]:
        if place := place_of(span):
            found.append((place, span.get("is_primary") is True, text_of(span, "label")))
    return found


def sort_places(spans):
    """Where it is (primary places first, then those without words), steps elsewhere, and the words there."""
    first, others, steps, labels = [], [], [], []
    for place, primary, label in spans:
        if primary:
            first.append(place)
            if label:
                labels.append(label)
        elif label:
            steps.append(FlowStep(place, label))
        else:
            others.append(place)
    return first + others, steps, labels


def place_of(span):
    path = text_of(span, "file_name")
    # Inside a macro of the standard library: the place in the scanned code is where it was called.
    while path.startswith("/") and isinstance(span.get("expansion"), dict):
        outer = span["expansion"].get("span")
        if not isinstance(outer, dict):
            break
        span, path = outer, text_of(outer, "file_name")
    if not path:
        return None
    lines = dicts(span.get("text"))
    return location(
        path, span.get("line_start"), span.get("column_start"), span.get("line_end"), span.get("column_end"),
        text_of(lines[0], "text") if lines else None,
    )


def location(path, line, column, line_end, column_end, snippet):
    """A place with the first of its lines."""
    start, end = tamiz.position(line, column), tamiz.position(line_end, column_end)
    return tamiz.file(path.replace("\\", "/"), start, end, snippet or None)


class Hints:
    """What the children of a message add to it."""

    def __init__(self, values):
        self.references = []
        self.version = None
        self.advice = []
        self.notes = []
        self.steps = []
        self.fix = None
        self.applicability = None
        if values[10] is None:
            for at in range(FIRST_HINT, FIRST_HINT + HINTS * len(HINT), len(HINT)):
                message = values[at + 1]
                if message is None:
                    break
                self.add(values[at] or "", message, values[at + 2])
        else:
            for child in objects(values[9]):
                spans = child.get("spans")
                self.add(text_of(child, "level"), text_of(child, "message"), json.dumps(spans) if spans else None)

    def add(self, level, message, spans):
        if level == "help":
            if message.startswith(READ_MORE):
                self.read_more(message[len(READ_MORE):])
            elif not message.startswith("to override `"):
                self.advice.append(message)
                if self.fix is None:
                    self.replace(objects(spans))
            return
        if message.endswith(" on by default") or " implied by `" in message:
            # Why the lint is on: said with the first finding of each lint alone, and nothing about it.
            return
        spans = objects(spans)
        place = place_of(spans[0]) if spans else None
        if place is None:
            self.notes.append(f"{level}: {message}")
        else:
            self.steps.append(FlowStep(place, message))

    def read_more(self, address):
        self.references.append(address)
        self.version = address.partition(CLIPPY_PAGES)[2].partition("/")[0] or None

    def replace(self, spans):
        """One replacement stands for itself; of several, each says where it goes."""
        parts = [span for span in spans if isinstance(span.get("suggested_replacement"), str)]
        if len(parts) == 1:
            self.fix = parts[0]["suggested_replacement"] or None
        elif parts:
            self.fix = "\n".join(
                f"{range_of(part)}: {part['suggested_replacement']}" for part in parts[:PLACES_MAX]
            )
        if self.fix:
            self.fix = self.fix[:TEXT_CHARACTERS_MAX]
            self.applicability = text_of(parts[0], "suggestion_applicability")


def range_of(span):
    """`src/main.rs:3:5-3:12`."""
    line, column, line_end, column_end = (
        number_of(span, key) for key in ("line_start", "column_start", "line_end", "column_end")
    )
    return f"{text_of(span, 'file_name')}:{line}:{column}-{line_end}:{column_end}"


def objects(text):
    """The objects of a JSON list, as the platform picked it; a text that is none has none."""
    if not text or text[0] != "[" or text == "[]":
        return []
    try:
        if "\\ud" in text or "\\uD" in text:
            # Half a character, escaped, is JSON but no text.
            text = json.dumps(json.loads(text), ensure_ascii=False).encode(errors="replace").decode()
        return dicts(json.loads(text))
    except ValueError:
        return []


def dicts(values):
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def text_of(fields, key):
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def number_of(fields, key):
    value = fields.get(key)
    return value if isinstance(value, int) else 0
