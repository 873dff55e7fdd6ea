// What a JavaScript plugin of Tamiz leans on: records, findings, counts and diagnostics.
//
// Part of your project, made by `tamiz plugin new`: read it, change it. It speaks world 1.0 of
// `wit/scanner.wit`. Options are `null`, enums are their words, variants are `{ tag, val }`.
//
// A plugin is `export const plugin = converter({ name, version, formats, read })`; `read(input, report)`
// is called for each input and gives each record to exactly one of `report.emit` and `report.skip`.

import host from "tamiz:scanner/host@1.0.0";
import records from "tamiz:scanner/records@1.0.0";

// Findings leave in batches of this size.
const BATCH = 64;
// Rows asked for at once; the platform gives no more than this.
const ROWS = 1000;
// Diagnostics of one code; the rest is counted.
const TOLD_MAX = 100;

// What `convert` may answer instead of an outcome.
const ANSWERS = new Set(["unrecognized", "bad-options", "corrupt"]);

export const JSON_LINES = { tag: "json-lines" };
/** The elements of the array at this JSON Pointer; by default the document itself. */
export const jsonArray = (pointer = "") => ({ tag: "json-array", val: pointer });
/** The elements of this name, at any depth. */
export const xmlElements = (name) => ({ tag: "xml-elements", val: name });
/** The rows of a table. */
export const csv = (delimiter = ",", header = true) => ({ tag: "csv", val: { delimiter, header } });

/** A number from 1 that fits, or null. */
function count(value) {
  const number = Number(value);
  return value !== null && Number.isInteger(number) && number > 0 && number < 2 ** 32 ? number : null;
}

/** A place in a text from numbers or their texts; null when the line is none. */
export function position(line, column = null) {
  const from = count(line);
  return from === null ? null : { line: from, column: count(column) };
}

/** A place in a scanned file, relative to the scanned root. */
export const file = (path, start = null, end = null, snippet = null) => ({
  tag: "file",
  val: { path, start, end, snippet },
});
/** A place in a web application. */
export const url = (address, method = null, parameter = null, evidence = null) => ({
  tag: "url",
  val: { url: address, method, parameter, evidence },
});
/** A place on a host. */
export const endpoint = (name, port = null, protocol = null) => ({
  tag: "endpoint",
  val: { host: name, port, protocol },
});
/** A name in the DNS. */
export const domain = (name, recordType = null) => ({ tag: "domain", val: { name, recordType } });

/** A finding; what is not given is empty. The fields are those of `finding` in wit/scanner.wit. */
export function finding(fields) {
  return {
    ruleName: null, message: fields.title, severityRaw: null, confidence: "unknown", category: null,
    locations: [], cwe: [], cve: [], cvssVector: null, references: [], tags: [], remediation: null,
    fix: null, suppressions: [], codeFlow: [], toolFingerprint: null, origin: null, extra: [],
    ...fields,
  };
}

/** To be thrown: this is none of the plugin's formats. Only before anything was emitted. */
export const unrecognized = (message) => ({ tag: "unrecognized", val: message });

/** What one conversion has read so far: counts, and findings that have not left yet. */
class Report {
  tool = null;
  toolVersion = null;
  coverage = "unknown";
  findings = 0;
  skipped = 0;
  /** Set it when the report is known to be the plugin's, however little of it was readable. */
  recognised = false;
  #batch = [];
  #told = new Map();
  #completeness = "complete";

  constructor(format) {
    this.format = format;
  }

  /**
   * The readable records of an input, each with `at` (where it stands) and `values` (one text or null for
   * each field). What is not readable is skipped, and how the document ends is kept.
   */
  *rows(input, layout, fields) {
    const name = input.name();
    const reader = records.open(input, layout, fields);
    for (let rows = reader.next(ROWS); rows.length > 0; rows = reader.next(ROWS)) {
      for (const row of rows) {
        if (row.problem === null) {
          yield row;
          continue;
        }
        // In the reader's own words, for you; the readers of the task see where it is.
        if (this.skipped < TOLD_MAX) host.log("debug", `at byte ${row.at.offset}: ${row.problem}`);
        this.skip(row, "cannot be read");
      }
    }
    const ending = reader.ending();
    if (ending === "truncated") {
      this.truncate(`\`${name}\` ends too early; what stands before its end was read`);
    } else if (ending === "malformed") {
      const message = `\`${name}\` is not laid out as ${this.format}`;
      throw this.findings + this.#batch.length > 0 ? this.corrupt(message) : unrecognized(message);
    }
  }

  /** Hands over a finding; it is kept whatever happens later. */
  emit(finding) {
    this.#batch.push(finding);
    if (this.#batch.length >= BATCH) this.flush();
  }

  /** Counts a record that gives no finding, and says why. */
  skip(row, why) {
    this.skipped += 1;
    const number = this.findings + this.#batch.length + this.skipped;
    this.tell("record-unreadable", `record ${number} ${why}`, row.at);
  }

  /** Says that the report ends before its end. */
  truncate(message) {
    this.#completeness = "truncated";
    this.tell("truncated", message);
  }

  /** What the tool's word means; a word that is not in `words` is `info` and is told. */
  severity(word, words, row) {
    if (word !== null && Object.hasOwn(words, word)) return words[word];
    this.tell("severity-unknown", `the severity \`${word}\` is not known`, row.at);
    return "info";
  }

  /** Tells the readers of the task something; the first hundred of a code. */
  tell(code, message, at = null, level = "warn") {
    const told = (this.#told.get(code) ?? 0) + 1;
    this.#told.set(code, told);
    if (told <= TOLD_MAX) host.emitDiagnostic({ level, code, message, at });
  }

  /** Hands over what has been emitted. */
  flush() {
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length === 0) return;
    host.emitFindings(batch);
    this.findings += batch.length;
  }

  /** To be thrown: nothing more can be read. */
  corrupt(message) {
    try {
      this.flush();
    } catch {
      // A limit is used up: what did not fit is lost, and the platform says so.
    }
    return { tag: "corrupt", val: { message, soFar: this.outcome() } };
  }

  /** To be thrown: what was read before is kept, and the author's log says where it happened. */
  failed(error) {
    if (ANSWERS.has(error?.tag)) {
      this.flush();
      return error;
    }
    // What an import answers as its error comes as the payload of one of JavaScript's.
    const value = error?.payload ?? error;
    const message = `the plugin failed: ${value?.val ?? value}`;
    host.log("error", `${message}\n${error?.stack ?? ""}`);
    return this.corrupt(message);
  }

  /** How much was read, so far or in the end. */
  outcome() {
    for (const [code, told] of this.#told) {
      if (told <= TOLD_MAX) continue;
      host.emitDiagnostic({ level: "warn", code, message: `${told - TOLD_MAX} more like this`, at: null });
    }
    this.#told.clear();
    const partial = this.skipped > 0 && this.#completeness === "complete";
    return {
      completeness: partial ? "partial" : this.#completeness,
      coverage: this.coverage,
      format: this.format,
      tool: this.tool,
      toolVersion: this.toolVersion,
      records: this.findings + this.skipped,
      findings: this.findings,
      skipped: this.skipped,
    };
  }
}

/**
 * A plugin that converts reports and plans no tools. `formats` are names with the tools that write each;
 * the first is what `read` reads.
 */
export function converter({
  name,
  version,
  scanType = "codeaudit",
  formats,
  optionsSchema = '{"type":"object","additionalProperties":false}',
  capabilities = [],
  read,
}) {
  return {
    describe() {
      const named = Object.entries(formats).map(([name, tools]) => ({ name, tools }));
      return { name, version, scanType, formats: named, optionsSchema, capabilities };
    },

    plan(request) {
      const message = `${name} only reads reports, it scans no target of kind \`${request.targetKind}\``;
      throw { tag: "unsupported", val: message };
    },

    convert(inputs, request) {
      const report = new Report(Object.keys(formats)[0]);
      try {
        for (const input of inputs) read(input, report, request);
        report.flush();
      } catch (error) {
        throw report.failed(error);
      }
      if (!report.recognised && report.findings === 0 && report.skipped > 0) {
        throw unrecognized(`no record could be read; expected ${report.format}`);
      }
      return report.outcome();
    },
  };
}
