// Lines of JSON with `severity`, `file`, `line` and `message` into findings.

import { JSON_LINES, converter, file, finding, position } from "./tamiz.js";

// What the tool's words mean.
const SEVERITIES = { error: "high", warning: "medium", note: "info" };

function read(input, report) {
  report.tool = "{{name}}";
  const fields = ["/severity", "/file", "/line", "/message"];
  for (const row of report.rows(input, JSON_LINES, fields)) {
    const [word, path, line, message] = row.values;
    if (!path || !message) {
      report.skip(row, "has no `file` or no `message`");
      continue;
    }
    report.emit(
      finding({
        tool: "{{name}}",
        ruleId: `{{name}}-${word}`,
        title: message,
        severity: report.severity(word, SEVERITIES, row),
        severityRaw: word,
        locations: [file(path, position(line))],
        origin: row.at,
      }),
    );
  }
}

export const plugin = converter({
  name: "{{name}}",
  version: "0.1.0",
  scanType: "{{scan_type}}",
  formats: { "{{name}}-jsonl": ["{{name}}"] },
  read,
});
