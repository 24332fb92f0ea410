"""The environment chat templates run in: transformers' own, with a fixed date."""
import datetime
import json
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

NOW = datetime.datetime(2026, 11, 22, 14, 3, 9)
DATE = NOW.strftime("%Y-%m-%d %H:%M:%S")
FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "chat"


def render(source, messages, **variables):
    """{"text": ...}, or {"error": ...} with the text of raise_exception or the kind of failure."""
    try:
        template = _compile_jinja_template(source)
        template.environment.globals["strftime_now"] = NOW.strftime
        return {"text": template.render(messages=messages, tools=None, documents=None, **variables)}
    except Exception as error:  # whatever Python raises, the template fails
        kind = type(error).__name__
        return {"error": str(error) if kind == "TemplateError" else kind}


def write(name, data):
    FIXTURES.mkdir(parents=True, exist_ok=True)
    path = FIXTURES / name
    path.write_text(json.dumps(data, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    print(f"{path}: {path.stat().st_size} bytes")
