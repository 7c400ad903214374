"""Draws what `sluice_limits_bench --curve` measured, as SVG.

    sluice_limits_bench --curve --seconds 2 | python3 bench/limit_curve.py >limits-curve.svg
"""

import csv
import sys

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 24, 56
X_MAX, Y_MAX = 3.2, 1.25
COLOURS = {"requests": "#1f6feb", "bytes": "#d9480f"}
LABELS = {"requests": "requests, taken at the check", "bytes": "bytes, charged after the fact"}


def x_of(value):
    return LEFT + (WIDTH - LEFT - RIGHT) * value / X_MAX


def y_of(value):
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / Y_MAX


def text(x, y, content, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{content}</text>'


def line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def main():
    rows = list(csv.DictReader(sys.stdin))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="12" fill="#57606a">',
           '<title>Admitted against offered load, as multiples of the limit</title>',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for tick in (0, 0.5, 1, 1.5, 2, 2.5, 3):
        out.append(line(x_of(tick), y_of(0), x_of(tick), y_of(Y_MAX), 'stroke="#eaeef2"'))
        out.append(text(x_of(tick), y_of(0) + 18, f"{tick:g}"))
    for tick in (0, 0.25, 0.5, 0.75, 1, 1.25):
        out.append(line(x_of(0), y_of(tick), x_of(X_MAX), y_of(tick), 'stroke="#eaeef2"'))
        out.append(text(x_of(0) - 8, y_of(tick) + 4, f"{tick:g}", "end"))
    out.append(line(x_of(0), y_of(0), x_of(1), y_of(1), 'stroke="#8c959f" stroke-dasharray="4 4"'))
    out.append(line(x_of(1), y_of(1), x_of(X_MAX), y_of(1), 'stroke="#8c959f" stroke-dasharray="4 4"'))
    out.append(text(x_of(X_MAX / 2), HEIGHT - 14, "offered, as a multiple of the limit"))
    middle = y_of(Y_MAX / 2)
    out.append(text(18, middle, "admitted", extra=f'transform="rotate(-90 18 {middle:.1f})"'))
    for index, what in enumerate(COLOURS):
        points = [(float(row["offered_per_second"]), float(row["admitted_per_second"]))
                  for row in rows if row["what"] == what]
        points = [point for point in points if point[0] <= X_MAX]
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[what]}" stroke-width="2"/>')
        out += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3" fill="{COLOURS[what]}"/>' for x, y in points]
        y = y_of(0.32 - 0.12 * index)
        out.append(line(x_of(1.6), y - 4, x_of(1.75), y - 4, f'stroke="{COLOURS[what]}" stroke-width="2"'))
        out.append(text(x_of(1.8), y, LABELS[what], "start"))
    out.append("</svg>")
    print("\n".join(out))


if __name__ == "__main__":
    main()
