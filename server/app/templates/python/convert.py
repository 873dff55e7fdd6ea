"""Lines of JSON with `severity`, `file`, `line` and `message` into findings."""

import tamiz_plugin as tamiz
from tamiz_plugin import Severity

# What the tool's words mean.
SEVERITIES = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.INFO}


class Plugin(tamiz.Converter):
    name = "{{name}}"
    version = "0.1.0"
    scan_type = "{{scan_type}}"
    formats = {"{{name}}-jsonl": ["{{name}}"]}

    def read(self, input, report):
        report.tool = "{{name}}"
        fields = ["/severity", "/file", "/line", "/message"]
        for row in report.rows(input, tamiz.JSON_LINES, fields):
            word, path, line, message = row.values
            if not path or not message:
                report.skip(row, "has no `file` or no `message`")
                continue
            report.emit(tamiz.finding(
                tool="{{name}}",
                rule_id=f"{{name}}-{word}",
                title=message,
                severity=report.severity(word, SEVERITIES, row),
                severity_raw=word,
                locations=[tamiz.file(path, tamiz.position(line))],
                origin=row.at,
            ))
