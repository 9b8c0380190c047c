"""Forms: fields by name, and files without their content."""

from recorded.case import Section, base64, posted

FORM = ("Content-Type", "application/x-www-form-urlencoded")
LATIN_FORM = ("Content-Type", "application/x-www-form-urlencoded; charset=iso-8859-1")
MULTIPART = ("Content-Type", "multipart/form-data; boundary=b")


def part(head: str, content: bytes) -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"


FORMS = Section(
    "Forms",
    "A form is stored as a map of its fields; a file is described, and its content left out.",
    (
        posted("a form", (FORM,), b"a=1&b=x+y&c=%C3%A4", {"a": "1", "b": "x y", "c": "ä"}),
        posted("a field more than once", (FORM,), b"a=1&a=2", {"a": ["1", "2"]}),
        posted("a field without a value", (FORM,), b"a&b=1", {"a": "", "b": "1"}),
        posted("a form in another charset", (LATIN_FORM,), b"a=%E4", {"a": "ä"}),
        posted("odd escapes and semicolons", (FORM,), b"a=%zz&b=1;c=2", {"a": "%zz", "b": "1;c=2"}),
        posted("no form, whatever it says", (FORM,), b"<a>1</a>", base64(b"<a>1</a>")),
        posted(
            "multipart",
            (MULTIPART,),
            part('name="a"', b"1") + part('name="a"', b"2") + b"--b--\r\n",
            {"a": ["1", "2"]},
            example="two fields of the name `a`",
        ),
        posted(
            "multipart with a file",
            (MULTIPART,),
            part('name="f"; filename="a.png"', b"\x89PNG") + b"--b--\r\n",
            {"f": {"filename": "a.png", "content_type": "application/octet-stream", "size": 4}},
            example='`name="f"; filename="a.png"`, 4 bytes',
        ),
        posted(
            "a file with an encoded name",
            (MULTIPART,),
            part("name=f; filename*=UTF-8''%E2%82%AC.txt", b"1") + b"--b--\r\n",
            {"f": {"filename": "€.txt", "content_type": "application/octet-stream", "size": 1}},
            example="`name=f; filename*=UTF-8''%E2%82%AC.txt`, 1 byte",
        ),
        posted(
            "a file whose name has no end",
            (MULTIPART,),
            part('name="f"; filename="a.txt', b"1") + b"--b--\r\n",
            {"f": {"filename": "", "content_type": "application/octet-stream", "size": 1}},
            example='`name="f"; filename="a.txt`, 1 byte',
        ),
        posted(
            "multipart without its boundary",
            (("Content-Type", "multipart/form-data"),),
            b"--b--\r\n",
            base64(b"--b--\r\n"),
            example="`Content-Type: multipart/form-data`",
        ),
    ),
)
