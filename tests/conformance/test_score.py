"""What counts as a difference: `python3 -m unittest discover tests/conformance`."""

import tempfile
import types
import unittest
from pathlib import Path

from score import Exemptions, Requirements, compare

SET = types.SimpleNamespace(revision="R", scored=["a"], unscored=["json-schema-2020-12", "tasks"])


def checks(**statuses):
    return {"a": [{"id": name, "status": status} for name, status in statuses.items()]}


def exemptions(text=""):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        return Exemptions(Path(file.name))


def row(direct, through, listed=""):
    return compare("server", SET, "R", direct, through, exemptions(listed))[0]


class Differences(unittest.TestCase):
    def test_the_same_is_the_same(self):
        self.assertTrue(row(checks(x="SUCCESS"), checks(x="SUCCESS")).same)

    def test_a_failure_a_warning_a_skip_and_a_missing_check_differ_from_success(self):
        for now in ("FAILURE", "WARNING", "SKIPPED"):
            self.assertFalse(row(checks(x="SUCCESS", y="SUCCESS"), checks(x="SUCCESS", y=now)).same)
        self.assertFalse(row(checks(x="SUCCESS", y="SUCCESS"), checks(x="SUCCESS")).same)

    def test_a_scenario_that_did_not_run_is_absent(self):
        found = row(checks(x="SUCCESS"), {})
        self.assertEqual((found.through, found.same), ("absent", False))

    def test_skipped_is_not_passed(self):
        self.assertEqual(row(checks(x="SKIPPED"), checks(x="SKIPPED")).direct, "skip")

    def test_a_check_that_does_not_apply_is_neither(self):
        self.assertTrue(row(checks(x="SUCCESS", y="SUCCESS"), checks(x="SUCCESS", y="INFO")).same)

    def test_one_of_several_of_a_name_counts(self):
        twice = {"a": [{"id": "x", "status": "SUCCESS"}, {"id": "x", "status": "FAILURE"}]}
        self.assertFalse(row(checks(x="SUCCESS"), twice).same)

    def test_a_listed_check_may_differ_and_its_neighbours_may_not(self):
        listed = "R a/x because\n"
        self.assertTrue(row(checks(x="SUCCESS", y="SUCCESS"), checks(x="SKIPPED", y="SUCCESS"), listed).same)
        self.assertTrue(row(checks(x="SUCCESS", y="SUCCESS"), checks(x="FAILURE", y="SUCCESS"), listed).same)
        self.assertFalse(row(checks(x="SUCCESS", y="SUCCESS"), checks(x="SKIPPED", y="WARNING"), listed).same)
        self.assertFalse(row(checks(x="SUCCESS", y="SUCCESS"), checks(x="FAILURE", y="FAILURE"), listed).same)
        self.assertFalse(row(checks(x="SUCCESS", y="SUCCESS"), {}, listed).same)

    def test_a_line_that_nothing_needs_is_stale(self):
        listed = exemptions("R a/x because\nR a/y because\n")
        rows = compare("server", SET, "R", checks(x="SUCCESS", y="SUCCESS"), checks(x="SUCCESS", y="SKIPPED"), listed)
        self.assertEqual(listed.stale(rows), ["R a/x"])

    def test_a_star_stands_for_anything(self):
        listed = exemptions("*>R auth/* because\n")
        self.assertEqual(listed.of("modern>R", "auth/x"), "because")
        self.assertIsNone(listed.of("modern>R", "other"))
        self.assertIsNone(listed.of("R", "auth/x"))

    def test_only_the_named_unscored_scenarios_are_judged(self):
        judged = {found.scenario: found.judged for found in compare("server", SET, "R", {}, {}, exemptions())}
        self.assertEqual(judged, {"a": True, "json-schema-2020-12": True, "tasks": False})


class Sets(unittest.TestCase):
    def test_each_leg_is_read_on_its_own(self):
        text = "server:\n  - a\n\nclient:\n  - b\n\nnot_scored:\n  - scenario: c\n    leg: client\n"
        text += "  - scenario: d\n    leg: server\n    reason: pending\n"
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            server, client = (Requirements(Path(file.name), "R", leg) for leg in ("server", "client"))
        self.assertEqual((server.scored, server.unscored), (["a"], ["d"]))
        self.assertEqual((client.scored, client.unscored), (["b"], ["c"]))


if __name__ == "__main__":
    unittest.main()
