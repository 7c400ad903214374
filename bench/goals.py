#!/usr/bin/python3
"""Prints the rows that the benchmarks wrote (bench/goals.h) as one table.

    bench/goals.py FILE...
"""

import json
import sys


def main(paths):
    rows = []
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            rows += [json.loads(line) for line in lines if line.strip()]
    if not rows:
        return 0
    cells = [("what", "measured", "goal", "", "of")]
    for row in rows:
        unit = row["unit"]
        cells.append((row["what"], f"{row['measured']:.4g} {unit}", f"{row['sign']} {row['goal']:g} {unit}",
                      "met" if row["met"] else "MISSED", row["detail"]))
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + "  " + row[4])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
