"""Memory of a server over time, as an SVG that is readable on light and on dark ground."""
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP = 760, 220, 60, 30
STYLE = ("text{font:13px system-ui,sans-serif;fill:#1f2328}.note{font-size:11px;fill:#59636e}polyline{fill:none;stroke-width:2}"
         ".server{stroke:#0969da}.shared{stroke:#1a7f37}.kernel{stroke:#8c959f}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}"
         ".server{stroke:#4493f8}.shared{stroke:#3fb950}}")


def draw(path, title, note, seconds, lines):
    """`lines`: {"server", "shared" or "kernel": values in bytes}, each a list as long as `seconds`, when they were found."""
    last = max(seconds[-1], 1e-9)
    most = max(max(values) for values in lines.values()) * 1.1

    def line(css, values):
        points = " ".join("%.1f,%.1f" % (LEFT + (WIDTH - LEFT) * s / last, TOP + HEIGHT * (1 - v / most)) for s, v in zip(seconds, values))
        return '<polyline class="%s" points="%s"/>' % (css, points)
    marks = "".join('<text class="note" x="%d" y="%.1f" text-anchor="end">%.0f MB</text>' % (LEFT - 8, TOP + HEIGHT * (1 - part) + 4, most * part / 1e6)
                    for part in (0, 0.5, 1))
    with open(path, "w") as f:
        f.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}"><style>{style}</style>'
                '<text x="0" y="16">{title}</text>{marks}{lines}<text class="note" x="{left}" y="{below}">0 s; {note}</text>'
                '<text class="note" x="{w}" y="{below}" text-anchor="end">{s:.0f} s</text></svg>\n'.format(
                    w=WIDTH, h=TOP + HEIGHT + 30, style=STYLE, title=escape(title), note=escape(note), marks=marks, left=LEFT, below=TOP + HEIGHT + 20,
                    lines="".join(line(css, values) for css, values in lines.items()), s=last))
