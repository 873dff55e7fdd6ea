// Lines of `cargo clippy --message-format=json` into findings.
//
// The platform reads the lines and picks the fields; only the places and the hints of a message, which are
// lists, are parsed here. What each field becomes stands in ../README.md.

import { JSON_LINES, converter, file, finding, position, unrecognized } from "./tamiz.js";

// What cargo says a line is about.
const REASONS = new Set([
  "compiler-message",
  "compiler-artifact",
  "build-script-executed",
  "build-finished",
  "timing-info",
]);

// Most messages have one place and at most four hints: those are picked ready for use. Longer lists come as
// JSON as well, and are parsed only when the field behind the last one that was picked is there.
const HINTS = 4;
const HEAD = ["/reason", "/success", "/target/name", "/target/kind/0"];
const MESSAGE = ["level", "code/code", "message", "spans", "spans/1", "children", `children/${HINTS}`];
const PLACE = [
  "file_name", "line_start", "column_start", "line_end", "column_end", "is_primary", "label", "text/0/text",
];
const HINT = ["level", "message", "spans"];
const FIELDS = [
  ...HEAD,
  ...MESSAGE.map((name) => `/message/${name}`),
  ...PLACE.map((name) => `/message/spans/0/${name}`),
  ...Array.from({ length: HINTS }, (_, number) => HINT.map((name) => `/message/children/${number}/${name}`)).flat(),
];
const FIRST_PLACE = HEAD.length + MESSAGE.length;
const FIRST_HINT = FIRST_PLACE + PLACE.length;

// What rustc's words mean.
const SEVERITIES = {
  error: "high",
  "error: internal compiler error": "high",
  warning: "medium",
  note: "low",
  help: "info",
};

// In front of the address of a lint's page.
const READ_MORE = "for further information visit ";
// In front of clippy's version in that address.
const CLIPPY_PAGES = "/rust-clippy/rust-";
// Places and steps of one finding; honest ones have a handful.
const PLACES_MAX = 20;
const TITLE_CHARACTERS_MAX = 300;
const TEXT_CHARACTERS_MAX = 16_000;

export const plugin = converter({
  name: "clippy-javascript",
  version: "1.0.0",
  scanType: "codeaudit",
  formats: { "clippy-json": ["clippy"] },
  read,
});

function read(input, report) {
  report.tool = "clippy";
  const name = input.name();
  let success = null;
  for (const row of report.rows(input, JSON_LINES, FIELDS)) {
    const [reason, built] = row.values;
    if (reason === "compiler-message") {
      report.recognised = true;
      convert(row, report);
    } else if (reason === "build-finished") {
      report.recognised = true;
      success = built === "true";
    } else if (REASONS.has(reason)) {
      report.recognised = true;
    }
  }
  if (!report.recognised) {
    throw unrecognized(
      `\`${name}\` is no output of \`cargo clippy --message-format=json\`: no line of it has ` +
        "a `reason` that cargo knows",
    );
  }
  if (success === null) {
    report.truncate("the report has no `build-finished`: cargo was stopped, or the report is cut");
  } else if (success) {
    report.coverage = "whole";
  } else {
    report.coverage = "partial";
    report.tell("build-failed", "the build failed: what needs a crate with errors was not looked at");
  }
}

/** One message of the compiler; cargo's own summaries are left out. */
function convert(row, report) {
  const { values } = row;
  const [, , crate, kind, given, code, message] = values;
  if (!message) {
    report.skip(row, "has no message");
    return;
  }
  const level = given || "unknown";
  const spans = spansOf(values);
  if (!code && isSummary(level, message, spans)) return;
  const { locations, steps, labels } = sortPlaces(spans);
  const hints = new Hints(values);
  report.toolVersion ??= hints.version;
  let category = "lint";
  if (!code) {
    category = "compile";
  } else if (/^E\d{4}$/.test(code)) {
    category = "compile";
    hints.references.push(`https://doc.rust-lang.org/error_codes/${code}.html`);
  }
  const extra = [];
  if (crate) extra.push(["crate", JSON.stringify(crate)]);
  if (kind) extra.push(["target", JSON.stringify(kind)]);
  if (hints.applicability) extra.push(["applicability", JSON.stringify(hints.applicability)]);
  report.emit(
    finding({
      tool: "clippy",
      ruleId: code || `rustc-${level}`,
      title: message.split("\n", 1)[0].slice(0, TITLE_CHARACTERS_MAX),
      message: [message, ...labels, ...hints.notes].join("\n").slice(0, TEXT_CHARACTERS_MAX),
      severity: report.severity(level, SEVERITIES, row),
      severityRaw: level,
      category,
      locations,
      references: hints.references,
      remediation: hints.advice.join("\n").slice(0, TEXT_CHARACTERS_MAX) || null,
      fix: hints.fix,
      codeFlow: [...steps, ...hints.steps].slice(0, PLACES_MAX),
      origin: row.at,
      extra,
    }),
  );
}

/** `aborting due to 2 previous errors`, `3 warnings emitted`, `For more information about this error, …`. */
function isSummary(level, message, spans) {
  if (level === "failure-note") return true;
  return spans.length === 0 && (message.startsWith("aborting due to ") || message.endsWith(" emitted"));
}

/** The places of a message: each a location, whether it is primary, and the compiler's words there. */
function spansOf(values) {
  const path = values[FIRST_PLACE];
  if (path && path[0] !== "/" && values[8] === null) {
    const [line, column, lineEnd, columnEnd, primary, label, snippet] = values.slice(FIRST_PLACE + 1, FIRST_HINT);
    const place = location(path, line, column, lineEnd, columnEnd, snippet);
    return [{ place, primary: primary === "true", label }];
  }
  return objects(values[7])
    .slice(0, PLACES_MAX)
    .map((span) => ({ place: placeOf(span), primary: span.is_primary === true, label: text(span.label) }))
    .filter(({ place }) => place !== null);
}

/** Where it is (primary places first, then those without words), steps elsewhere, and the words there. */
function sortPlaces(spans) {
  const first = [];
  const others = [];
  const steps = [];
  const labels = [];
  for (const { place, primary, label } of spans) {
    if (primary) {
      first.push(place);
      if (label) labels.push(label);
    } else if (label) {
      steps.push({ location: place, message: label });
    } else {
      others.push(place);
    }
  }
  return { locations: [...first, ...others], steps, labels };
}

function placeOf(span) {
  let path = text(span.file_name);
  // Inside a macro of the standard library: the place in the scanned code is where it was called.
  while (path.startsWith("/") && isObject(span.expansion) && isObject(span.expansion.span)) {
    span = span.expansion.span;
    path = text(span.file_name);
  }
  if (path === "") return null;
  const [line] = list(span.text);
  const snippet = line === undefined ? null : text(line.text);
  return location(path, span.line_start, span.column_start, span.line_end, span.column_end, snippet);
}

/** A place with the first of its lines. */
function location(path, line, column, lineEnd, columnEnd, snippet) {
  const [start, end] = [position(line, column), position(lineEnd, columnEnd)];
  return file(path.replaceAll("\\", "/"), start, end, snippet || null);
}

/** What the children of a message add to it. */
class Hints {
  references = [];
  version = null;
  advice = [];
  notes = [];
  steps = [];
  fix = null;
  applicability = null;

  constructor(values) {
    if (values[10] === null) {
      for (let at = FIRST_HINT; at < FIRST_HINT + HINTS * HINT.length; at += HINT.length) {
        const message = values[at + 1];
        if (message === null) break;
        this.add(values[at] ?? "", message, values[at + 2]);
      }
    } else {
      for (const child of objects(values[9])) {
        this.add(text(child.level), text(child.message), child.spans ? JSON.stringify(child.spans) : null);
      }
    }
  }

  add(level, message, spansText) {
    if (level === "help") {
      if (message.startsWith(READ_MORE)) {
        this.readMore(message.slice(READ_MORE.length));
      } else if (!message.startsWith("to override `")) {
        this.advice.push(message);
        if (this.fix === null) this.replace(objects(spansText));
      }
      return;
    }
    if (message.endsWith(" on by default") || message.includes(" implied by `")) {
      // Why the lint is on: said with the first finding of each lint alone, and nothing about it.
      return;
    }
    const spans = objects(spansText);
    const place = spans.length > 0 ? placeOf(spans[0]) : null;
    if (place === null) this.notes.push(`${level}: ${message}`);
    else this.steps.push({ location: place, message });
  }

  readMore(address) {
    this.references.push(address);
    const at = address.indexOf(CLIPPY_PAGES);
    this.version = at < 0 ? null : address.slice(at + CLIPPY_PAGES.length).split("/", 1)[0] || null;
  }

  /** One replacement stands for itself; of several, each says where it goes. */
  replace(spans) {
    const parts = spans.filter((span) => typeof span.suggested_replacement === "string");
    if (parts.length === 1) {
      this.fix = parts[0].suggested_replacement || null;
    } else if (parts.length > 1) {
      this.fix = parts
        .slice(0, PLACES_MAX)
        .map((part) => `${rangeOf(part)}: ${part.suggested_replacement}`)
        .join("\n");
    }
    if (this.fix) {
      this.fix = this.fix.slice(0, TEXT_CHARACTERS_MAX);
      this.applicability = text(parts[0].suggestion_applicability);
    }
  }
}

/** `src/main.rs:3:5-3:12`. */
function rangeOf(span) {
  const start = `${number(span.line_start)}:${number(span.column_start)}`;
  return `${text(span.file_name)}:${start}-${number(span.line_end)}:${number(span.column_end)}`;
}

/** The objects of a JSON list, as the platform picked it; a text that is none has none. */
function objects(json) {
  if (!json || json[0] !== "[" || json === "[]") return [];
  // Half a character, escaped, is JSON but no text.
  const mend = (key, value) => (typeof value === "string" ? value.toWellFormed() : value);
  try {
    return list(/\\ud/i.test(json) ? JSON.parse(json, mend) : JSON.parse(json));
  } catch {
    return [];
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const list = (value) => (Array.isArray(value) ? value.filter(isObject) : []);
const text = (value) => (typeof value === "string" ? value : "");
const number = (value) => (Number.isInteger(value) ? value : 0);
