"""Whether an answer is one that the schema and docs/errors.md allow, judged by another implementation (graphql-core).

Pure: no network, no schemathesis.
"""

import datetime
import re
import urllib.parse
import uuid
from pathlib import Path

import graphql
from graphql.execution.values import get_directive_values
from graphql.utilities import type_from_ast

CHECKOUT = Path(__file__).resolve().parents[3]
SCHEMA = graphql.build_schema((CHECKOUT / "schema.graphql").read_text())
# The first column of the tables of codes.
CODES = set(re.findall(r"^\| `([A-Z_]+)` \|", (CHECKOUT / "docs/errors.md").read_text(), re.MULTILINE))
# A valid document may be refused with these: it asks for too much at once.
TOO_MUCH = {code for code in CODES if code.startswith("QUERY_TOO_")}
FAULTS = {"INTERNAL", "QUERY_TIMEOUT"}
# The engine looks whether a literal fits 32 bits when it runs the field, so never for one that is not reached.
LATE = re.compile(r"Int cannot represent non 32-bit signed integer value")
INT_MAX = 2**31 - 1


class Wrong(AssertionError):
    """What an answer should not have been."""


def judge(query, status, answer):
    """Raises `Wrong` unless `answer`, parsed JSON, is right for `query`."""
    if status not in (200, 400):
        raise Wrong(f"status {status}")
    if not isinstance(answer, dict) or not answer.keys() <= {"data", "errors", "extensions"}:
        raise Wrong("not an object of `data`, `errors` and `extensions`")
    errors = answer.get("errors")
    if errors is not None and not errors:
        raise Wrong("`errors` is empty")
    codes = {code_of(error) for error in errors or []}
    problems, document = problems_of(query)
    if problems:
        if "data" in answer and not all(LATE.search(problem) for problem in problems):
            raise Wrong(f"was run although it is invalid: {problems[0]}")
        return
    if "data" not in answer:
        if not codes & TOO_MUCH:
            raise Wrong(f"was refused with {sorted(codes)} although it is valid")
        return
    operation = graphql.utilities.get_operation_ast(document)
    nulls = {tuple(error["path"]) for error in errors or [] if "path" in error}
    if answer["data"] is None:
        if not nulls:
            raise Wrong("`data` is null without an error that has a path")
        return
    root = SCHEMA.get_root_type(operation.operation)
    Shape(document, nulls).check_object(answer["data"], root, [operation.selection_set], ())


def code_of(error):
    """The code of one entry of `errors`, which must be a documented one and no fault."""
    code = error.get("extensions", {}).get("code")
    if not isinstance(error.get("message"), str) or not isinstance(code, str):
        raise Wrong(f"an error without message or code: {error}")
    if code in FAULTS:
        raise Wrong(f"{code}: {error['message']}")
    if code not in CODES:
        raise Wrong(f"the code {code} is not in docs/errors.md")
    return code


def problems_of(query):
    """Why `query` is invalid, and its document where it can be read."""
    try:
        document = graphql.parse(query)
    except graphql.GraphQLSyntaxError as error:
        return [error.message], None
    return [error.message for error in graphql.validate(SCHEMA, document)], document


class Shape:
    """Holds data against the fields that were asked for."""

    def __init__(self, document, nulls):
        self.fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, graphql.FragmentDefinitionNode)
        }
        self.nulls = nulls

    def check_object(self, value, kind, selections, path):
        if not isinstance(value, dict):
            raise Wrong(f"{path}: no object")
        if isinstance(kind, (graphql.GraphQLInterfaceType, graphql.GraphQLUnionType)):
            self.check_abstract(value, kind, selections, path)
            return
        fields = {}
        for selection in selections:
            self.collect(kind, selection, fields)
        if value.keys() != fields.keys():
            raise Wrong(f"{path}: asked for {sorted(fields)}, answered {sorted(value)}")
        for name, nodes in fields.items():
            self.check_field(value[name], kind, nodes, (*path, name))

    def check_abstract(self, value, kind, selections, path):
        """Nothing says what it is unless the query asked: it must fit one of the possible types."""
        wrong = None
        for possible in SCHEMA.get_possible_types(kind):
            try:
                return self.check_object(value, possible, selections, path)
            except Wrong as error:
                wrong = error
        raise wrong

    def collect(self, kind, selection_set, fields):
        for node in selection_set.selections:
            if skipped(node):
                continue
            if isinstance(node, graphql.FieldNode):
                fields.setdefault((node.alias or node.name).value, []).append(node)
                continue
            if isinstance(node, graphql.FragmentSpreadNode):
                node = self.fragments[node.name.value]
            on = type_from_ast(SCHEMA, node.type_condition) if node.type_condition else kind
            if on is kind or SCHEMA.is_sub_type(on, kind):
                self.collect(kind, node.selection_set, fields)

    def check_field(self, value, kind, nodes, path):
        name = nodes[0].name.value
        if name == "__typename":
            if value != kind.name:
                raise Wrong(f"{path}: is {value!r}, not {kind.name}")
        elif not name.startswith("__"):
            self.check_value(value, kind.fields[name].type, [n.selection_set for n in nodes if n.selection_set], path)

    def check_value(self, value, kind, selections, path):
        if isinstance(kind, graphql.GraphQLNonNull):
            if value is None:
                raise Wrong(f"{path}: null where {kind} was promised")
            kind = kind.of_type
        if value is None:
            return
        if isinstance(kind, graphql.GraphQLList):
            if not isinstance(value, list):
                raise Wrong(f"{path}: no list")
            for index, item in enumerate(value):
                self.check_value(item, kind.of_type, selections, (*path, index))
        elif graphql.is_leaf_type(kind):
            if not fits(value, kind):
                raise Wrong(f"{path}: {value!r} is no {kind}")
        else:
            self.check_object(value, kind, selections, path)


def skipped(node):
    skip = get_directive_values(graphql.GraphQLSkipDirective, node)
    include = get_directive_values(graphql.GraphQLIncludeDirective, node)
    return bool(skip and skip["if"]) or bool(include and not include["if"])


def fits(value, kind):
    """Whether a JSON value is one of a scalar or an enum."""
    if isinstance(kind, graphql.GraphQLEnumType):
        return value in kind.values
    test = SCALARS.get(kind.name)
    if test is None:
        raise Wrong(f"the scalar {kind} is new: say in answers.py what fits it")
    return test(value)


def is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def parses(read):
    def test(value):
        try:
            read(value)
        except (TypeError, ValueError, AttributeError):
            return False
        return True

    return test


SCALARS = {
    "Int": lambda value: is_whole(value) and -INT_MAX - 1 <= value <= INT_MAX,
    "Float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "String": lambda value: isinstance(value, str),
    "Boolean": lambda value: isinstance(value, bool),
    "ID": lambda value: isinstance(value, str),
    "BigInt": is_whole,
    "JSON": lambda value: True,
    "UUID": parses(uuid.UUID),
    "DateTime": parses(datetime.datetime.fromisoformat),
    "Date": parses(datetime.date.fromisoformat),
    "Duration": lambda value: isinstance(value, str) and re.fullmatch(r"-?PT(\d+H)?(\d+M)?(\d+(\.\d{1,3})?S)?", value) is not None,
    "URL": lambda value: isinstance(value, str) and urllib.parse.urlsplit(value).scheme != "",
}
