#!/usr/bin/env python3
"""tally.py NAME=testlog.json... - add up what meson's test logs say.

A TAP test counts by its lines, any other as one. Names what failed and what
was skipped, with the reason, and ends with the one line that sums it up. Fails
when something failed or nothing passed.
"""
import json
import re
import sys

LINE = re.compile(r"^(not )?ok\b[ \t]*(\d*)[ \t]*(.*)$")
SKIP = re.compile(r"#[ \t]*SKIP\b[ \t]*(.*)$", re.IGNORECASE)
GOOD = {"OK", "EXPECTEDFAIL"}
SAID = 12  # lines of what a failed check had to say


def judge(test):
    """(passed, [(failed name, [what it said])], [(skipped name, reason)])."""
    passed, failed, skipped = 0, [], []
    out = test.get("stdout", "")
    said = []
    for line in out.splitlines():
        got = LINE.match(line)
        if not got:
            said.append(line)
            continue
        told, said = said[-SAID:], []
        name = got.group(3).lstrip("- ") or got.group(2)
        skip = SKIP.search(line)
        if skip:
            skipped.append((name.split("#")[0].strip(), skip.group(1)))
        elif got.group(1):
            failed.append((name, told))
        else:
            passed += 1
    if test["result"] == "SKIP" and not skipped:
        skip = SKIP.search(out)
        last = out.strip().splitlines()[-1:] or ["no reason told"]
        skipped.append(("all of it", skip.group(1) if skip else last[0]))
    elif test["result"] in GOOD and not passed and not skipped:
        passed = 1
    elif test["result"] not in GOOD | {"SKIP"} and not failed:
        failed.append((test["result"].lower(), out.splitlines()[-SAID:]))
    return passed, failed, skipped


def main():
    passed = failed = skipped = 0
    for arg in sys.argv[1:]:
        build, path = arg.split("=", 1)
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                tests = [json.loads(line) for line in log]
        except FileNotFoundError:
            print(f"FAILED  {build}: it was not built, or its tests did not run")
            failed += 1
            continue
        for test in tests:
            good, bad, left = judge(test)
            passed += good
            failed += len(bad)
            skipped += len(left)
            for name, told in bad:
                print(f"FAILED  {build}: {test['name']}: {name}")
                for line in told:
                    print(f"        {line[:200]}")
            for name, why in left:
                print(f"skipped {build}: {test['name']}: {name}: {why}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
