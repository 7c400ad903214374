"""docs/agreement.md against the agreement pack and the scenarios: no clause without a row, no scenario left out.

`agreement_test.py --write` brings the column of scenarios up to date instead.
"""

import collections
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/agreement.md"
CLAUSE = re.compile(r"(?<![\w.])(\d{1,2}(?:\.\d+)+|\d)(?![\w.–-]|\.\d)")
NONE = "none"


def key(clause):
    return [int(part) for part in clause.split(".")]


def scenarios_by_clause(folder):
    """The ids of the cases that cite a clause, in their heading or in an answer that they expect."""
    cited = collections.defaultdict(set)
    for path in sorted(folder.glob("*.yaml")):
        case = None
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"- id: (\w+)", line):
                case = match[1]
            for match in re.finditer(r"""\bclause: (?:"([^"]*)"|'([^']*)')""", line):
                for clause in CLAUSE.findall(match[1] or match[2] or ""):
                    cited[clause].add(case)
    return cited


def as_cell(ids):
    order = sorted(ids, key=lambda each: (each[0], int(each[1:])))
    return " ".join(order) if order else NONE


class Page:
    def __init__(self, text):
        enforced, _, rest = text.partition("## What no sidecar can enforce")
        rows = re.findall(r"^\| (\d[\d.]*) \|([^|]*)\|([^|]*)\|([^|]*)\|$", enforced, re.M)
        self.order = [row[0] for row in rows]
        self.by = {row[0]: row[2] for row in rows}
        self.scenarios = {row[0]: row[3].strip() for row in rows}
        self.not_enforced = [
            clause for row in re.findall(r"^\| (\d[^|]*)\|", rest, re.M) for clause in CLAUSE.findall(row.split(" %")[0])
        ]


def pack_words(text):
    """Everything that the pack names, by kind of line."""
    words = set(re.findall(r"^  - ([A-Z_]+)$", text, re.M))  # reasons, by precedence
    words |= set(re.findall(r"^    ?([A-Z_]+): +\[", text, re.M))  # states
    words |= set(re.findall(r"^  ([A-Z_]+): +\{clause", text, re.M))  # causes
    words |= set(re.findall(r"^  ([a-z_]+): \[", text, re.M))  # changes
    words |= set(re.findall(r"^  ([a-z_.]+): +\{type", text, re.M))  # parameters
    words |= set(re.search(r"columns: +\[([^\]]*)\]", text)[1].split(", "))
    return words


def contract_words(folder):
    """The words of the contract's enums, without their prefixes, and its fields."""
    words = set()
    for path in folder.glob("*.proto"):
        text = path.read_text(encoding="utf-8")
        for name, body in re.findall(r"^enum (\w+) \{(.*?)^\}", text, re.M | re.S):
            prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper() + "_"
            words |= {word[len(prefix):] for word in re.findall(rf"\b{prefix}[A-Z_0-9]+", body)}
        words |= set(re.findall(r"\b([a-z_]+) = \d+", text))
    return words


class AgreementTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = Page(PAGE.read_text(encoding="utf-8"))
        cls.pack = (ROOT / "agreement/default.yaml").read_text(encoding="utf-8")
        cls.cited = scenarios_by_clause(ROOT / "tests/scenarios")

    def test_rows_are_in_order_and_stand_once(self):
        self.assertEqual(self.page.order, sorted(set(self.page.order), key=key))
        self.assertGreater(len(self.page.order), 35)

    def test_every_clause_that_the_pack_answers_with_has_a_row(self):
        clauses = set(re.findall(r'clause: "([\d.]+)"', self.pack)) | set(re.findall(r'^  "([\d.]+)":$', self.pack, re.M))
        self.assertGreater(len(clauses), 25)
        self.assertEqual(sorted(clauses - set(self.page.order), key=key), [])

    def test_every_clause_that_a_scenario_cites_has_a_row(self):
        self.assertEqual(sorted(set(self.cited) - set(self.page.order), key=key), [])

    def test_the_last_column_lists_the_scenarios_that_cite_the_clause(self):
        wrong = [
            f"{clause}: wants {as_cell(self.cited[clause])!r}, has {self.page.scenarios[clause]!r}"
            for clause in self.page.order
            if self.page.scenarios[clause] != as_cell(self.cited[clause])
        ]
        self.assertEqual(wrong, [], "run tests/tree/agreement_test.py --write")

    def test_every_word_in_code_exists(self):
        known = pack_words(self.pack) | contract_words(ROOT / "proto/sluice/v1")
        for clause, text in self.page.by.items():
            for word in re.findall(r"`([^`]+)`", text):
                self.assertIn(word, known, f"row {clause}")

    def test_every_reason_cause_and_parameter_of_the_pack_is_on_the_page(self):
        said = set(re.findall(r"`([^`]+)`", " ".join(self.page.by.values())))
        reasons = set(re.findall(r"^  - ([A-Z_]+)$", self.pack, re.M)) - {"UNKNOWN_ACCOUNT"}  # of no clause
        causes = set(re.findall(r"^  ([A-Z_]+): +\{clause", self.pack, re.M))
        parameters = set(re.findall(r"^  ([a-z_.]+): +\{type", self.pack, re.M))
        self.assertEqual(sorted((reasons | causes | parameters) - said), [])

    def test_what_cannot_be_enforced_is_not_enforced(self):
        both = set(self.page.not_enforced) & set(self.page.order)
        self.assertEqual(both, {"7.4"})  # its debt is, its interest is not


def write():
    cited = scenarios_by_clause(ROOT / "tests/scenarios")

    def line(match):
        return f"{match[1]} {as_cell(cited[match[2]])} |"

    text = PAGE.read_text(encoding="utf-8")
    enforced, mark, rest = text.partition("## What no sidecar can enforce")
    enforced = re.sub(r"^(\| (\d[\d.]*) \|[^|\n]*\|[^|\n]*\|)[^|\n]*\|$", line, enforced, flags=re.M)
    PAGE.write_text(enforced + mark + rest, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        unittest.main()
