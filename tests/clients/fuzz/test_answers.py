"""The judge itself: what it lets pass and what it does not."""

import unittest

from answers import Wrong, judge

REFUSED = {"message": "no", "extensions": {"code": "INVALID_INPUT"}}
INVALID = {"message": "no", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
ID = "01a20491-1651-724b-b855-8ab17d02138c"


def error(**said):
    return REFUSED | said


RIGHT = [
    ("{ viewer { role } }", {"data": {"viewer": {"role": "ADMIN"}}}),
    ("{ a: viewer { __typename } }", {"data": {"a": {"__typename": "Viewer"}}}),
    ("{ viewer { role @skip(if: true) tokenName } }", {"data": {"viewer": {"tokenName": "x"}}}),
    ("{ task(id: %r) { id } }" % ID, {"data": {"task": None}}),
    ("{ projects(first: 0) { totalCount } }", {"data": None, "errors": [error(path=["projects"])]}),
    ("{ node(id: 1) { id ... on Task { status } } }", {"data": {"node": {"id": "x", "status": "QUEUED"}}}),
    ("{ node(id: 1) { id ... on Task { status } } }", {"data": {"node": {"id": "x"}}}),
    ("query A($a: Int) { ...F } fragment F on Query { viewer { role } }", {"errors": [INVALID]}),
    ("{ missing }", {"errors": [INVALID]}),
    ("{ viewer {", {"errors": [INVALID]}),
    ("{ viewer { role } }", {"errors": [{"message": "much", "extensions": {"code": "QUERY_TOO_DEEP"}}]}),
]
WRONG = [
    ("{ viewer { role } }", {"errors": [INVALID]}, "although it is valid"),
    ("{ missing }", {"data": {"missing": 1}}, "although it is invalid"),
    ("{ viewer { role } }", {"data": {"viewer": {}}}, "asked for"),
    ("{ viewer { role } }", {"data": {"viewer": {"role": "KING"}}}, "is no Role"),
    ("{ viewer { role } }", {"data": {"viewer": {"role": None}}}, "null where"),
    ("{ viewer { role } }", {"data": {"viewer": []}}, "no object"),
    ("{ viewer { role } }", {"data": None}, "without an error"),
    ("{ viewer { role } }", {"data": None, "errors": []}, "empty"),
    ("{ viewer { role } }", {"data": None, "trace": "x"}, "not an object of"),
    ("{ projects { totalCount } }", {"data": {"projects": {"totalCount": 2**31}}}, "is no Int"),
    ("{ projects { nodes { id } } }", {"data": {"projects": {"nodes": {}}}}, "no list"),
    ("{ projects { nodes { createdAt } } }", {"data": {"projects": {"nodes": [{"createdAt": "now"}]}}}, "is no DateTime"),
    ("{ viewer { __typename } }", {"data": {"viewer": {"__typename": "Query"}}}, "not Viewer"),
    ("{ viewer { role } }", {"errors": [{"message": "x", "extensions": {"code": "INTERNAL"}}]}, "INTERNAL"),
    ("{ viewer { role } }", {"errors": [{"message": "x", "extensions": {"code": "OOPS"}}]}, "not in docs"),
    ("{ viewer { role } }", {"errors": [{"message": "x"}]}, "without message or code"),
]


class Judging(unittest.TestCase):
    def test_right_answers_pass(self):
        for query, answer in RIGHT:
            with self.subTest(query):
                judge(query.replace("'", '"'), 200, answer)

    def test_wrong_answers_do_not(self):
        for query, answer, why in WRONG:
            with self.subTest(query), self.assertRaisesRegex(Wrong, why):
                judge(query, 200, answer)

    def test_a_status_of_the_servers_fault_is_wrong(self):
        with self.assertRaisesRegex(Wrong, "500"):
            judge("{ viewer { role } }", 500, {"data": {"viewer": {"role": "ADMIN"}}})


if __name__ == "__main__":
    unittest.main()
