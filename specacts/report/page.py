"""The report as one HTML page that opens anywhere: no script, no font and no picture from elsewhere.

    write_text(path, page(report(facts), Path("reports")))

Figures are inside, as the files are at that moment.
"""

import base64
import html
import re
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """\
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 { line-height: 1.2 } h2 { margin-top: 2.5rem; border-bottom: 1px solid #8884 }
table { border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto; margin: 1rem 0 }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #8884; white-space: nowrap; vertical-align: top }
th { border-bottom-width: 2px; text-align: left; vertical-align: bottom; white-space: normal }
img { max-width: 100%; background: #fff }
code { font-size: .9em; background: #8882; padding: 0 .2em }
"""
PICTURE = re.compile(r'<img src="([^":]+\.png)"')


def page(text: str, folder: Path) -> str:
    """The page of a Markdown text whose pictures lie in the folder. HTML in the text is text; links stay links."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = PICTURE.sub(lambda found: f'<img src="{_inside(folder / html.unescape(found.group(1)))}"', body)
    title = html.escape(text.partition("\n")[0].lstrip("# "))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n'
        f"</head>\n<body>\n{body}</body>\n</html>\n"
    )


def _inside(path: Path) -> str:
    """A picture as an address that holds it; one that is not there stays a name."""
    if not path.is_file():
        return html.escape(path.name)
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
