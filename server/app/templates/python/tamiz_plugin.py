"""What a Python plugin of Tamiz leans on: records, findings, counts and diagnostics.

Part of your project, made by `tamiz plugin new`: read it, change it. It speaks world 1.0 of
`wit/scanner.wit` through the modules that componentize-py makes of that file.

A plugin is a class `Plugin(tamiz_plugin.Converter)` with `name`, `version`, `formats` and a method
`read(self, input, report)`, which is called for each input and gives each record to exactly one of
`report.emit` and `report.skip`.
"""

from componentize_py_types import Err
from wit_world.exports import plugin as world
from wit_world.exports.plugin import Coverage
from wit_world.imports import host, records, types
from wit_world.imports.types import Confidence, LogLevel, Severity

# Findings leave in batches of this size.
BATCH = 64
# Rows asked for at once; the platform gives no more than this.
ROWS = 1000
# Diagnostics of one code; the rest is counted.
TOLD_MAX = 100

# What `convert` may answer instead of an outcome.
ANSWERS = (world.ConvertError_Unrecognized, world.ConvertError_BadOptions, world.ConvertError_Corrupt)

JSON_LINES = records.Layout_JsonLines()


def json_array(pointer=""):
    """The elements of the array at this JSON Pointer; by default the document itself."""
    return records.Layout_JsonArray(pointer)


def xml_elements(name):
    """The elements of this name, at any depth."""
    return records.Layout_XmlElements(name)


def csv(delimiter=",", header=True):
    """The rows of a table."""
    return records.Layout_Csv(records.CsvLayout(delimiter, header))


def position(line, column=None):
    """A place in a text from numbers or their texts; None when the line is none."""
    line, column = _count(line), _count(column)
    return types.Position(line, column) if line else None


def _count(value):
    """A number from 1 that fits, or None."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < 2**32 else None


def file(path, start=None, end=None, snippet=None):
    """A place in a scanned file, relative to the scanned root."""
    return types.Location_File(types.FileLocation(path, start, end, snippet))


def url(address, method=None, parameter=None, evidence=None):
    """A place in a web application."""
    return types.Location_Url(types.UrlLocation(address, method, parameter, evidence))


def endpoint(name, port=None, protocol=None):
    """A place on a host."""
    return types.Location_Endpoint(types.NetworkEndpoint(name, port, protocol))


def domain(name, record_type=None):
    """A name in the DNS."""
    return types.Location_Domain(types.DomainName(name, record_type))


def finding(
    tool, rule_id, title, severity, *, rule_name=None, message=None, severity_raw=None,
    confidence=Confidence.UNKNOWN, category=None, locations=None, cwe=None, cve=None, cvss_vector=None,
    references=None, tags=None, remediation=None, fix=None, suppressions=None, code_flow=None,
    tool_fingerprint=None, origin=None, extra=None,
):
    """A finding; what is not given is empty. The fields are those of `finding` in wit/scanner.wit."""
    return types.Finding(
        tool, rule_id, rule_name, title, title if message is None else message, severity, severity_raw,
        confidence, category, locations or [], cwe or [], cve or [], cvss_vector, references or [],
        tags or [], remediation, fix, suppressions or [], code_flow or [], tool_fingerprint, origin,
        extra or [],
    )


class Report:
    """What one conversion has read so far: counts, and findings that have not left yet."""

    def __init__(self, format):
        self.format = format
        self.tool = None
        self.tool_version = None
        self.coverage = world.Coverage.UNKNOWN
        # Set it when the report is known to be the plugin's, however little of it was readable.
        self.recognised = False
        self.findings = 0
        self.skipped = 0
        self._batch = []
        self._told = {}
        self._completeness = world.Completeness.COMPLETE

    def rows(self, input, layout, fields):
        """The readable records of an input, each with `at` (where it stands) and `values` (one text or
        None for each field). What is not readable is skipped, and how the document ends is kept."""
        name = input.name()
        with records.open(input, layout, fields) as reader:
            while rows := reader.next(ROWS):
                for row in rows:
                    if row.problem is None:
                        yield row
                    else:
                        if self.skipped < TOLD_MAX:
                            # In the reader's own words, for you; the readers of the task see where it is.
                            host.log(LogLevel.DEBUG, f"at byte {row.at.offset}: {row.problem}")
                        self.skip(row, "cannot be read")
            ending = reader.ending()
        if ending == records.Ending.TRUNCATED:
            self.truncate(f"`{name}` ends too early; what stands before its end was read")
        elif ending == records.Ending.MALFORMED:
            message = f"`{name}` is not laid out as {self.format}"
            raise self.corrupt(message) if self.findings or self._batch else unrecognized(message)

    def emit(self, finding):
        """Hands over a finding; it is kept whatever happens later."""
        self._batch.append(finding)
        if len(self._batch) >= BATCH:
            self.flush()

    def skip(self, row, why):
        """Counts a record that gives no finding, and says why."""
        self.skipped += 1
        self.tell("record-unreadable", f"record {self.findings + len(self._batch) + self.skipped} {why}", row.at)

    def truncate(self, message):
        """Says that the report ends before its end."""
        self._completeness = world.Completeness.TRUNCATED
        self.tell("truncated", message)

    def severity(self, word, words, row):
        """What the tool's word means; a word that is not in `words` is `info` and is told."""
        known = words.get(word)
        if known is None:
            self.tell("severity-unknown", f"the severity `{word}` is not known", row.at)
            return Severity.INFO
        return known

    def tell(self, code, message, at=None, level=LogLevel.WARN):
        """Tells the readers of the task something; the first hundred of a code."""
        told = self._told[code] = self._told.get(code, 0) + 1
        if told <= TOLD_MAX:
            host.emit_diagnostic(types.Diagnostic(level, code, message, at))

    def flush(self):
        """Hands over what has been emitted."""
        batch, self._batch = self._batch, []
        if batch:
            host.emit_findings(batch)
            self.findings += len(batch)

    def corrupt(self, message):
        """To be raised: nothing more can be read."""
        try:
            self.flush()
        except Err:
            # A limit is used up: what did not fit is lost, and the platform says so.
            pass
        return Err(world.ConvertError_Corrupt(world.Corruption(message, self.outcome())))

    def failed(self, error):
        """To be raised: what was read before is kept, and the author's log says where it happened."""
        if isinstance(error, Err) and isinstance(error.value, ANSWERS):
            self.flush()
            return error
        value = error.value if isinstance(error, Err) else f"{type(error).__name__}: {error}"
        if isinstance(value, (records.OpenError_Invalid, records.OpenError_Io)):
            value = value.value
        message = f"the plugin failed: {getattr(value, 'name', value)}"
        host.log(LogLevel.ERROR, "\n".join([message, *_places(error.__traceback__)]))
        return self.corrupt(message)

    def outcome(self):
        """How much was read, so far or in the end."""
        completeness = self._completeness
        if self.skipped and completeness == world.Completeness.COMPLETE:
            completeness = world.Completeness.PARTIAL
        for code, told in self._told.items():
            if told > TOLD_MAX:
                message = f"{told - TOLD_MAX} more like this"
                host.emit_diagnostic(types.Diagnostic(LogLevel.WARN, code, message, None))
        self._told = {}
        return world.Outcome(
            completeness=completeness, coverage=self.coverage, format=self.format, tool=self.tool,
            tool_version=self.tool_version, records=self.findings + self.skipped,
            findings=self.findings, skipped=self.skipped,
        )


class Converter:
    """A plugin that converts reports and plans no tools."""

    name: str
    version: str
    scan_type = "codeaudit"
    #: names of formats, each with the tools that write it; the first is what `read` reads
    formats: dict[str, list[str]]
    options_schema = '{"type":"object","additionalProperties":false}'
    capabilities: list[str] = []

    def read(self, input, report):
        """Reads one input."""
        raise NotImplementedError

    def describe(self):
        formats = [world.Format(name, tools) for name, tools in self.formats.items()]
        return world.Description(
            self.name, self.version, self.scan_type, formats, self.options_schema, self.capabilities
        )

    def plan(self, request):
        message = f"{self.name} only reads reports, it scans no target of kind `{request.target_kind}`"
        raise Err(world.PlanError_Unsupported(message))

    def convert(self, inputs, request):
        report = Report(next(iter(self.formats)))
        try:
            for input in inputs:
                self.read(input, report)
            report.flush()
        except Exception as error:
            raise report.failed(error) from None
        if not report.recognised and report.findings == 0 and report.skipped > 0:
            raise unrecognized(f"no record could be read; expected {report.format}")
        return report.outcome()


def unrecognized(message):
    """To be raised: this is none of the plugin's formats. Only before anything was emitted."""
    return Err(world.ConvertError_Unrecognized(message))


def _places(trace):
    """Where an error passed by. Not `traceback`, which reads source files: there are none."""
    while trace:
        code = trace.tb_frame.f_code
        yield f"  {code.co_filename}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
