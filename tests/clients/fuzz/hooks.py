"""What schemathesis is told of Tamiz: values that lead somewhere, and what a right answer is.

Loaded through SCHEMATHESIS_HOOKS by scripts/check-graphql. The server's rows are asked for once, so that made-up
requests meet real projects, tasks and alerts, and not only what is not there.
"""

import json
import os
import urllib.request
import zlib

import graphql
import schemathesis
from answers import judge
from hypothesis import strategies as st
from schemathesis.graphql import nodes

ROWS = """{
  projects(first: 20) { nodes { id alerts(first: 5) { nodes { id } } } pageInfo { endCursor } }
  tasks(first: 10) { nodes { id artifacts { id } } pageInfo { endCursor } }
  findings(first: 5) { nodes { id } pageInfo { endCursor } }
  plugins(first: 5) { nodes { id } pageInfo { endCursor } }
}"""


def rows():
    request = urllib.request.Request(
        os.environ["TAMIZ_SERVER"] + "/graphql",
        json.dumps({"query": ROWS}).encode(),
        {"authorization": "Bearer " + os.environ["TAMIZ_TOKEN"], "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["data"]


def values_of(key, value):
    """Every value under `key`, however deep."""
    if isinstance(value, list):
        return [found for item in value for found in values_of(key, item)]
    if not isinstance(value, dict):
        return []
    own = [value[key]] if isinstance(value.get(key), str) else []
    return own + [found for item in value.values() for found in values_of(key, item)]


KNOWN = rows()
ids = st.one_of(st.sampled_from(values_of("id", KNOWN)), st.uuids().map(str))
schemathesis.graphql.scalar("UUID", ids.map(nodes.String))
schemathesis.graphql.scalar("ID", ids.map(nodes.String))
schemathesis.graphql.scalar("Date", st.dates().map(str).map(nodes.String))
schemathesis.graphql.scalar("Duration", st.integers(min_value=0, max_value=10**6).map("PT{}S".format).map(nodes.String))
schemathesis.graphql.scalar(
    "URL", st.sampled_from(["https://example.com/", "http://127.0.0.1/hook", "ftp://x"]).map(nodes.String)
)
schemathesis.graphql.scalar("BigInt", st.integers(min_value=-(2**63), max_value=2**63 - 1).map(nodes.Int))

CURSORS = values_of("endCursor", KNOWN)


PAGE_ROWS = 5


class Reachable(graphql.Visitor):
    """Puts pages that are allowed and cursors that were given out where made-up ones are refused at the door.

    Only in some requests, chosen by their own text, so that a seed makes the same ones again.
    """

    def __init__(self, text):
        super().__init__()
        self.turn = zlib.crc32(text.encode())

    def enter_argument(self, node, *_):
        self.turn += 1
        value = None
        if node.name.value == "first" and self.turn % 4:
            value = nodes.Int(1 + self.turn % PAGE_ROWS)
        elif node.name.value == "after" and self.turn % 4:
            value = nodes.String(CURSORS[self.turn % len(CURSORS)]) if CURSORS and self.turn % 8 == 1 else nodes.Null
        if value is None:
            return None
        return graphql.ArgumentNode(name=node.name, value=value)


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, graphql.DocumentNode):
        return body
    return graphql.visit(body, Reachable(graphql.print_ast(body)))


@schemathesis.check
def answers_as_documented(context, response, case):
    """A right answer: judged by another implementation, with codes that are documented and none that is a fault."""
    judge(case.body, response.status_code, response.json())
