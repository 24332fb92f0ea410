"""The results of compare.py as an SVG: for each model and work a group of bars, the bound that the
machine sets as a line across it. Every group has a scale of its own; figures stand at the bars.
Colours are of middle lightness, readable on white and on black.
"""
from xml.sax.saxutils import escape

WIDTH = 840
LEFT, BARS, RIGHT = 150, 500, 190  # columns: names, bars, figures
BAR, STEP = 16, 22
TEXT, FAINT = "#7a828e", "#8b949e"
NIBBLE, BOUND = "#2f81f7", "#e5534b"
PEERS = ["#9a7b4f", "#6b8e6e", "#8a6fa8", "#5f8a9a"]
FONT = "font-family='system-ui, sans-serif'"


def amount(value, unit):
    """"12.3", "0.43 s", "98.4 MB" """
    if unit == "bytes":
        return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"
    if unit == "s":
        return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.0f} ms"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def text(x, y, words, fill=TEXT, size=13, anchor="start", weight="normal"):
    return (f"<text x='{x:.1f}' y='{y:.1f}' fill='{fill}' font-size='{size}' font-weight='{weight}' "
            f"text-anchor='{anchor}' {FONT}>{escape(words)}</text>")


def bar(y, name, value, unit, scale, fill):
    width = max(value * scale, 1)
    return [text(LEFT - 8, y + BAR - 4, name, anchor="end"),
            f"<rect x='{LEFT}' y='{y}' width='{width:.1f}' height='{BAR}' fill='{fill}'/>",
            text(LEFT + width + 6, y + BAR - 4, amount(value, unit))]


def bound_line(top, bottom, bound, scale):
    x = LEFT + bound["value"] * scale
    left = x > LEFT + BARS * 0.6
    words = f"{bound['name']} {amount(bound['value'], '')}"
    return [f"<line x1='{x:.1f}' y1='{top - 2}' x2='{x:.1f}' y2='{bottom + 4}' stroke='{BOUND}' "
            "stroke-width='2' stroke-dasharray='5 3'/>",
            text(x + (-6 if left else 6), bottom + 14, words, BOUND, 11, "end" if left else "start")]


def group(y, entry, colours):
    """(elements, height) of one model and work."""
    out = [text(0, y + 13, entry["title"], weight="bold")]
    top = y + 22
    largest = max([*entry["bars"].values(), *([entry["bound"]["value"]] if entry["bound"] else [])])
    scale = BARS / largest if largest > 0 else 0
    at = top
    for name, value in entry["bars"].items():
        out += bar(at, name, value, entry["unit"], scale, colours[name])
        at += STEP
    if entry["bound"]:
        out += bound_line(top, at - STEP + BAR, entry["bound"], scale)
        at += 14
    return out, at - y + 12


def draw(heading, entries):
    """heading: lines of text. entries: [{title, unit, bars: {program: value}, bound: {name, value}
    or None}], the bars in the order they are drawn, nibble first."""
    names = dict.fromkeys(name for entry in entries for name in entry["bars"])
    others = [name for name in names if name != "nibble"]
    colours = {"nibble": NIBBLE} | {n: PEERS[i % len(PEERS)] for i, n in enumerate(others)}
    body = []
    y = 6
    for line in heading:
        body.append(text(0, y + 12, line, FAINT, 12))
        y += 17
    y += 10
    for entry in entries:
        elements, height = group(y, entry, colours)
        body += elements
        y += height
    return "\n".join([f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{y}' "
                      f"viewBox='-4 0 {WIDTH + 8} {y}' role='img'>",
                      f"<title>{escape(' '.join(heading))}</title>", *body, "</svg>", ""])
