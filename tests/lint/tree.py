"""The source tree as the rules see it: files with comments and string contents blanked out."""
import os
import re
from dataclasses import dataclass, field
from functools import cached_property

CPP_ENDINGS = (".h", ".hpp", ".cpp", ".inl", ".c")
SKIPPED_FOLDERS = {".git", "build", "dist", "__pycache__", ".cache"}

_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL)


def blank(match):
    """Spaces instead of a comment or of what a literal holds; line breaks stay where they are."""
    text = match.group(0)
    keep = text[0] if text[0] in "\"'" else ""
    inner = re.sub(r"[^\n]", " ", text[len(keep):len(text) - len(keep)])
    return keep + inner + keep


@dataclass
class Source:
    path: str  # from the root, with forward slashes
    text: str

    @property
    def folder(self):
        return self.path.split("/")[0]

    @cached_property
    def lines(self):
        return self.text.splitlines()

    @cached_property
    def code(self):
        """The lines without comments and without what string literals hold."""
        kept = []
        for part in self.text.splitlines(keepends=True):
            # The path of an #include is a string to the lexer, but the rules want to read it.
            kept.append(part.replace('"', "\x01") if re.match(r"\s*#\s*include\b", part) else part)
        return _TOKEN.sub(blank, "".join(kept)).replace("\x01", '"').splitlines()

    @cached_property
    def includes(self):
        """(line number, path, quoted or angled) of every #include."""
        found = []
        for number, line in enumerate(self.code, 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if match:
                found.append((number, match.group(2), match.group(1)))
        return found


@dataclass
class Tree:
    files: dict = field(default_factory=dict)  # path -> Source, every text file

    @classmethod
    def read(cls, root):
        tree = cls()
        for folder, names, files in os.walk(root):
            names[:] = sorted(n for n in names if n not in SKIPPED_FOLDERS)
            for name in sorted(files):
                full = os.path.join(folder, name)
                path = os.path.relpath(full, root).replace(os.sep, "/")
                try:
                    with open(full, encoding="utf-8") as file:
                        tree.files[path] = Source(path, file.read())
                except (UnicodeDecodeError, FileNotFoundError):
                    continue  # binary, or gone since it was listed
        return tree

    @classmethod
    def of(cls, files):
        return cls({path: Source(path, text) for path, text in files.items()})

    def cpp(self, *folders):
        return [s for s in self.files.values()
                if s.path.endswith(CPP_ENDINGS) and (not folders or s.folder in folders)]

    def text(self, path):
        return self.files[path].text if path in self.files else ""
