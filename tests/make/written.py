"""Writes documents as people hand them in, PDF, DOCX and HTML, from the Markdown of the tests; and hostile ones."""

from __future__ import annotations

import io
import re
import zipfile
import zlib

_HEADED = re.compile(r"^(#{1,6}) +(.*)$")


def _blocks(markdown: str) -> list[tuple[int, str]]:
    """Give (level, text) per block; level 0 is a paragraph."""
    made = []
    for block in re.split(r"\n\s*\n", markdown.strip()):
        headed = _HEADED.match(block)
        made.append((len(headed[1]), headed[2]) if headed else (0, " ".join(block.split())))
    return made


def pdf(markdown: str) -> bytes:
    """Set it as a PDF with a header and page numbers."""
    import typst

    escaped = re.compile(r"([#\\$*_`@<>\[\]~\"'=/-])")
    parts = ['#set page(height: 16cm, width: 14cm, header: [Example BV, confidential], numbering: "1 / 1")']
    parts += ["#set text(size: 10pt)", "#set par(justify: false)"]
    for level, text in _blocks(markdown):
        written = escaped.sub(r"\\\1", text)
        parts.append(f"{'=' * level} {written}" if level else written)
    made = typst.compile("\n\n".join(parts).encode())
    assert isinstance(made, bytes)
    return made


def docx(markdown: str, *, hidden: str = "") -> bytes:
    """Write it as a Word document; with `hidden`, text that no reader sees and a table."""
    import docx as word

    document = word.Document()
    for level, text in _blocks(markdown):
        if level:
            document.add_heading(text, level)
        else:
            document.add_paragraph(text)
    if hidden:
        document.add_paragraph().add_run(hidden).font.hidden = True
        table = document.add_table(rows=1, cols=2)
        table.rows[0].cells[0].text = "Hardware"
        table.rows[0].cells[1].text = "Two servers"
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def html(markdown: str) -> bytes:
    """Write it as a page, with a script that is no text of it."""
    body = "".join(f"<h{n}>{t}</h{n}>\n" if n else f"<p>{t}\n</p>" for n, t in _blocks(markdown))
    return f"<html><head><script>steal()</script></head><body>{body}</body></html>".encode()


def with_part(package: bytes, name: str, content: bytes) -> bytes:
    """Put one more part into a DOCX, or replace it."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            if part.filename != name:
                new.writestr(part.filename, old.read(part))
        new.writestr(name, content)
    return written.getvalue()


def locked_pdf(markdown: str) -> bytes:
    """Set it as a PDF that asks for a password."""
    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(markdown)))
    writer.encrypt("secret", algorithm="RC4-128")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def empty_pages_pdf(pages: int) -> bytes:
    """Make a PDF of so many empty pages."""
    import pypdf

    writer = pypdf.PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(200, 200)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def bomb_pdf(unpacked: int) -> bytes:
    """Make a PDF whose one page unpacks to so many bytes."""
    packer = zlib.compressobj(9)
    stream = b"".join(packer.compress(b"BT ET " * 100_000) for _ in range(unpacked // 600_000)) + packer.flush()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(stream) + stream + b"\nendstream",
    ]
    made = b"%PDF-1.7\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    start = len(made)
    made += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % p for p in places)
    return made + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
