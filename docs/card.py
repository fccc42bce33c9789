"""Draws two robustness cards beside each other, as in the README.

    python docs/card.py STANDARD/record.json ADVERSARIAL/record.json docs/card.svg
"""
import json
import sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 330, 230, 46, 34, 40
NETS = [("standard", "#0072B2"), ("adversarial", "#D55E00")]
AGAINST = [("output", ""), ("codes", "6 3"), ("noise", "1.5 3")]
PANELS = [("code_change", "relative squared change of codes"), ("jaccard_kept", "Jaccard of the 10 strongest, prediction kept"),
          ("accuracy", "share classified right")]

records = [json.load(open(path))["numbers"] for path in sys.argv[1:3]]
first = AGAINST[0][0] + "."
radii = sorted({float(key[len(first):-len(".accuracy")]) for key in records[0] if key.startswith(first) and key.endswith(".accuracy")})


def value(numbers, against, epsilon, what):
    found = numbers.get(f"clean.{what}" if epsilon == 0 else f"{against}.{epsilon:g}.{what}")
    return found if found is None or isinstance(found, dict) else {"value": found}


drawn = []


def text(x, y, words, anchor="start", size=12):
    drawn.append(f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="{size}" text-anchor="{anchor}" fill="#333">{words}</text>')


def line(x, y, to_x, to_y, style):
    drawn.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" {style}/>')


for panel, (what, title) in enumerate(PANELS):
    left, width, height = panel * WIDTH + LEFT, WIDTH - LEFT - 18, HEIGHT - TOP - BOTTOM
    curves = [(color, dash, [(e, v) for e in [0] + radii if (v := value(numbers, against, e, what))])
              for numbers, (_, color) in zip(records, NETS) for against, dash in AGAINST]
    highest = max(v["value"] for *_, points in curves for _, v in points)
    top = highest * 1.05 if highest > 1 else 1.0
    across = lambda e: left + width * e / radii[-1]
    up = lambda v: TOP + height * (1 - min(v, top) / top)
    text(panel * WIDTH + 8, 18, title)
    for quarter in range(5):
        line(left, up(top * quarter / 4), left + width, up(top * quarter / 4), 'stroke="#ddd"')
        text(left - 6, up(top * quarter / 4) + 4, f"{top * quarter / 4:.2g}", "end", 11)
    for epsilon in [0] + radii:
        text(across(epsilon), TOP + height + 16, f"{epsilon:g}", "middle", 11)
    text(left + width / 2, TOP + height + 32, "epsilon (Linf)", "middle", 11)
    for color, dash, points in curves:
        for epsilon, v in points:
            if epsilon and v.get("low") is not None:
                line(across(epsilon), up(v["low"]), across(epsilon), up(v["high"]), f'stroke="{color}" stroke-opacity=".45"')
        path = " ".join(f"{across(e):.1f},{up(v['value']):.1f}" for e, v in points)
        drawn.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}" points="{path}"/>')
x = 10
for name, color in NETS:
    for against, dash in AGAINST:
        line(x, HEIGHT + 10, x + 26, HEIGHT + 10, f'stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"')
        text(x + 32, HEIGHT + 14, f"{name}, {against}")
        x += 46 + 6.6 * len(f"{name}, {against}")
size = f'viewBox="0 0 {3 * WIDTH} {HEIGHT + 24}" width="{3 * WIDTH}" height="{HEIGHT + 24}"'
body = "\n".join(drawn)
open(sys.argv[3], "w").write(f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n')
