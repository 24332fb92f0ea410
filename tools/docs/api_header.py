"""Reads runtime/api/nibble.h into a list of what it declares, in its order, with the comments."""
import re
from dataclasses import dataclass, field

_ITEM = re.compile(
    r"/\*(?P<comment>.*?)\*/"
    r"|(?P<directive>^[ \t]*#(?:[^\n\\]|\\\n|\\[^\n])*)"
    r"|(?P<blank>\n[ \t]*\n)"
    r"|(?P<declaration>[^\s/#](?:[^;{}/]|/\*.*?\*/|\{(?:[^{}]|/\*.*?\*/)*\})*;)",
    re.DOTALL | re.MULTILINE)
_FUNCTION = re.compile(r"NIBBLE_API\s+(?P<gives>[\w\s*]+?)\s*(?P<name>nibble_\w+)\((?P<takes>.*)\);",
                       re.DOTALL)


@dataclass
class Declaration:
    kind: str  # "function", "struct", "enum", "callback", "handle" or "macro"
    name: str
    text: str  # as the header has it
    comment: str  # what stands above it; a declaration without shares that of the one before
    section: str
    gives: str = ""  # of a function: its type
    members: list = field(default_factory=list)  # (type, name) of arguments or struct members


def _type_and_name(text):
    """'const char* path' -> ('const char*', 'path'); arrays keep their length in the type."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = " ".join(text.split())
    pointer = re.fullmatch(r"(.*)\(\*(\w+)\)(\(.*\))", text)
    if pointer:
        return f"{pointer[1]}(*){pointer[3]}", pointer[2]
    match = re.fullmatch(r"(.*?[\s*])(\w+)(\[\d+\])?", text)
    return match.group(1).strip() + (match.group(3) or ""), match.group(2)


def _members(body):
    """Struct members; 'double a, b' does not occur in the header."""
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    return [_type_and_name(part) for part in body.split(";") if part.strip()]


def _prose(comment):
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in comment.strip().split("\n")]
    return "\n".join(lines).strip()


def _classify(text, comment, section):
    function = _FUNCTION.fullmatch(text)
    if function:
        takes = " ".join(function["takes"].split())
        members = [] if takes == "void" else [_type_and_name(a) for a in takes.split(",")]
        return Declaration("function", function["name"], text, comment, section,
                           function["gives"], members)
    struct = re.fullmatch(r"typedef struct (\w+) \{(.*)\} \w+;", text, re.DOTALL)
    if struct:
        return Declaration("struct", struct[1], text, comment, section,
                           members=_members(struct[2]))
    enum = re.fullmatch(r"(?:typedef )?enum (\w+ )?\{(.*)\}.*;", text, re.DOTALL)
    if enum:
        names = re.findall(r"^\s*(NIBBLE_\w+)\s*=\s*(-?\d+)", enum[2], re.MULTILINE)
        members = [(int(value), name) for name, value in names]
        return Declaration("enum", (enum[1] or "flags").strip(), text, comment, section,
                           members=members)
    callback = re.fullmatch(r"typedef .*\(\*(\w+)\)\(.*\);", text, re.DOTALL)
    if callback:
        return Declaration("callback", callback[1], text, comment, section)
    handle = re.fullmatch(r"typedef struct (\w+) \w+;", text)
    if handle:
        return Declaration("handle", handle[1], text, comment, section)
    return None


def read_header(text):
    """([Declaration], the comment that opens the file). Unknown declarations are an error."""
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", text, flags=re.DOTALL)
    found, intro, comment, section = [], "", "", ""
    for item in _ITEM.finditer(text):
        if item["blank"]:
            comment = ""
        elif item["comment"] is not None:
            heading = re.fullmatch(r"\s*---- (.*) ----\s*", item["comment"])
            if heading:
                section, comment = heading[1], ""
            elif not intro:
                intro = _prose(item["comment"])
            else:
                comment = _prose(item["comment"])
        elif item["directive"]:
            macro = re.match(r"\s*#define (NIBBLE_(?!API\b|H\b)\w+)\s+\S", item["directive"])
            if macro:
                found.append(Declaration("macro", macro[1], item["directive"].strip(), comment,
                                         section))
                comment = ""
        else:
            declaration = _classify(item["declaration"], comment, section)
            if declaration is None:
                raise ValueError(f"nibble.h: what is this? {item['declaration']}")
            found.append(declaration)
            comment = ""
    return found, intro
