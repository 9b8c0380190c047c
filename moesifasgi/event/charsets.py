"""The character sets that a body may be declared in.

A fixed table, because Python has codecs that are slow or no text, and remembers every name that it has not.
"""

_NAMES = {
    "big5": "big5 big5-tw",
    "euc-jp": "euc-jp eucjp x-euc-jp",
    "euc-kr": "euc-kr euckr",
    "gb18030": "gb18030",
    "gb2312": "gb2312 euc-cn",
    "gbk": "gbk cp936 x-gbk",
    "iso-8859-1": "iso-8859-1 iso8859-1 latin1 latin-1 l1 cp819",
    "iso-8859-2": "iso-8859-2 iso8859-2 latin2 latin-2 l2",
    "iso-8859-15": "iso-8859-15 iso8859-15 latin9 latin-9 l9",
    "koi8-r": "koi8-r koi8",
    "shift_jis": "shift-jis sjis x-sjis",
    "windows-1250": "windows-1250 cp1250 x-cp1250",
    "windows-1251": "windows-1251 cp1251 x-cp1251",
    "windows-1252": "windows-1252 cp1252 x-cp1252",
}
_CODECS = {name: codec for codec, names in _NAMES.items() for name in names.split()}


def codec_of(charset: str) -> str | None:
    """Python's codec for a charset by any of its names; None for any other, and UTF-8, the default."""
    return _CODECS.get(charset.strip().lower().replace("_", "-"))
