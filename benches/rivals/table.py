"""Reports of `recipe test-closure` side by side, as Markdown: one column for each name."""

import json
import sys

names = sys.argv[1:]
reports = {name: json.load(open(name + ".json")) for name in names}


def word(report, name):
    found = [result for check in report["checks"] if check["name"] == name for result in check["results"]]
    holds = sum(result["result"] == "holds" for result in found)
    fails = sum(result["result"] == "fails" for result in found)
    stopped = [result for result in found if result["why"] == "it does not start"]
    if not holds + fails:
        return "does not start" if found and len(stopped) == len(found) else "–"
    if not fails:
        return "yes" if not stopped else f"yes ({holds} of {holds + len(stopped)})"
    return "**no**" if not holds else f"**no**: {fails} of {holds + fails}"


print("| rows | expected |", " | ".join(names), "|")
print("| --- | --- |" + " --- |" * len(names))
for check in next(iter(reports.values()))["checks"]:
    cells = " | ".join(word(reports[name], check["name"]) for name in names)
    print(f"| {check['rows']} | {check['expected'].replace('|', chr(92) + '|')} | {cells} |")
counts = " | ".join("{holds} hold, {fails} fail, {skipped} skipped".format(**reports[name]) for name in names)
print(f"| | all answers | {counts} |")
for name in names:
    print(f"\n### {name}\n")
    told = set()
    for check in reports[name]["checks"]:
        for result in check["results"]:
            key = (check["name"], result["cause"])
            if result["result"] == "fails" and key not in told:
                told.add(key)
                found = " ".join(result["found"].split())[:200].replace("`", "'")
                print(f"- {check['name']} ({result['place']}): {result['cause']}. Found: `{found}`")
