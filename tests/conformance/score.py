"""What the suite wrote down, and whether two runs of it say the same."""

import json
import re
from collections import defaultdict
from fnmatch import fnmatchcase

# Not scored by the suite and still held to: header checks, schemas that survive, sessions that end, clients that are nobody's.
JUDGED_UNSCORED = {
    "auth/client-credentials-basic",
    "auth/client-credentials-jwt",
    "http-header-validation",
    "http-custom-header-server-validation",
    "json-schema-2020-12",
    "json-schema-2020-12-preservation",
    "server-session-lifecycle",
}
# From best to worst. INFO says that a check did not apply, and is neither.
ORDER = ["SUCCESS", "WARNING", "SKIPPED", "FAILURE", "absent"]
FOLDER = re.compile(r"(?:server-)?(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


class Requirements:
    """One leg's scenarios of one frozen set, in its order; the file is YAML of a very plain kind."""

    def __init__(self, file, revision, leg="server"):
        self.revision = revision
        self.scored, self.unscored = [], []
        section = scenario = None
        for line in file.read_text().splitlines():
            if heading := re.fullmatch(r"(\w+):", line):
                section = heading.group(1)
            elif section == leg and (item := re.fullmatch(r"  - (\S+)", line)):
                self.scored.append(item.group(1))
            elif section == "not_scored" and (item := re.fullmatch(r"  - scenario: (\S+)", line)):
                scenario = item.group(1)
            elif section == "not_scored" and line.strip() == f"leg: {leg}":
                self.unscored.append(scenario)


class Exemptions:
    """not-carried.txt: what is allowed to differ until it is carried."""

    def __init__(self, file):
        self.reasons = {}
        for line in file.read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                cell, scenario, reason = line.split(None, 2)
                self.reasons[cell, scenario] = reason

    def of(self, cell, scenario):
        return next((reason for line, reason in self.reasons.items() if covers(line, cell, scenario)), None)

    def of_check(self, cell, scenario, check):
        return self.of(cell, f"{scenario}/{check}")

    def stale(self, rows):
        """Lines whose scenario or check was the same on every server that was run."""
        ran = {row.cell for row in rows}
        differing = set()
        for row in rows:
            if not row.same or row.excused:
                differing.add((row.cell, row.scenario))
            differing.update((row.cell, f"{row.scenario}/{check}") for check in row.excused)
        return [
            " ".join(line)
            for line in self.reasons
            if any(fnmatchcase(cell, line[0]) for cell in ran) and not any(covers(line, *found) for found in differing)
        ]


def covers(line, cell, name):
    """Whether a line's cell and name, in which `*` stands for anything, cover this one."""
    return fnmatchcase(cell, line[0]) and fnmatchcase(name, line[1])


class Row:
    """One scenario on one server, or with one client. not-carried.txt says what a cell is."""

    def __init__(self, server, cell, scenario, scored):
        self.server, self.cell, self.scenario, self.scored = server, cell, scenario, scored
        self.judged = scored or scenario in JUDGED_UNSCORED
        self.direct = self.through = "absent"
        self.exempt, self.same, self.notes, self.excused, self.checks = None, False, [], [], {}

    def said(self):
        if self.exempt:
            return f"{'yes' if self.same else 'no'}, not yet: {self.exempt}"
        if not self.judged:
            return f"{'yes' if self.same else 'no'} (not scored)"
        return "yes" if self.same else "NO"

    def as_json(self):
        return dict(vars(self))


def read(out):
    """Every scenario's checks, by scenario."""
    found = {}
    for file in out.rglob("checks.json"):
        if name := FOLDER.fullmatch(str(file.parent.relative_to(out))):
            found[name.group(1)] = json.loads(file.read_text())
    return found


def compare(server, requirements, cell, direct, through, exemptions):
    """A row for every scenario of the set, scored ones first."""
    rows = []
    for scenario in requirements.scored + requirements.unscored:
        row = Row(server, cell, scenario, scenario in requirements.scored)
        row.exempt = exemptions.of(row.cell, scenario)
        if scenario.startswith("tasks-"):
            # Not every fixture's SDK has the extension.
            row.judged = verdict(direct.get(scenario)) == "pass"
        row.direct, row.through = verdict(direct.get(scenario)), verdict(through.get(scenario))
        row.notes = differences(row, direct.get(scenario, []), through.get(scenario, []), exemptions)
        left = [[check for check in found.get(scenario, []) if check["id"] not in row.excused] for found in (direct, through)]
        ran = scenario in direct, scenario in through
        row.same = ran[0] == ran[1] and verdict(left[0]) == verdict(left[1]) and not row.notes
        rows.append(row)
    return rows


def verdict(checks):
    """A scenario passes when something passed and nothing failed. What was skipped has not passed."""
    if checks is None:
        return "absent"
    statuses = {check["status"] for check in checks}
    if "FAILURE" in statuses:
        return "fail"
    return "pass" if "SUCCESS" in statuses else "skip"


def differences(row, direct, through, exemptions):
    """The checks that came out otherwise through the proxy, less those that not-carried.txt names."""
    before, after = by_id(direct), by_id(through)
    notes = []
    for check in dict.fromkeys([*before, *after]):
        was, now = worst(before.get(check)), worst(after.get(check))
        row.checks[check] = [was, now]
        if was == now or "INFO" in (was, now):
            continue
        if exemptions.of_check(row.cell, row.scenario, check):
            row.excused.append(check)
            continue
        message = next((c.get("errorMessage") for c in after.get(check, []) if c.get("errorMessage")), None)
        notes.append(f"{check}: {was} -> {now}" + (f" ({message[:300]})" if message else ""))
    return notes


def by_id(checks):
    found = defaultdict(list)
    for check in checks:
        found[check["id"]].append(check)
    return found


def worst(checks):
    statuses = [check["status"] for check in checks or []]
    ranked = [status for status in statuses if status in ORDER]
    if ranked:
        return max(ranked, key=ORDER.index)
    return "INFO" if statuses else "absent"
