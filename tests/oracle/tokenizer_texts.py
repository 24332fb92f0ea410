"""Texts for the tokenizer oracles: multilingual, emoji, digits, white space, code, and seeded mixes."""
import random

FIXED = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", " \n", "\r\n", " \t \n ", "a", " a", "  a", "a ", "a  b",
    "Hello, world!", "Hello,   world!  ", "The quick brown fox jumps over the lazy dog.",
    "I'm sure you've seen it; they'll say it's HE'LL'S 'RE 'tis don't.",
    "0", "12", "123", "1234", "12345678901234567890", "3.14159e-10", "1,000,000.00", "v1.2.3-rc4",
    "x = [i**2 for i in range(10) if i % 2 == 0]\n\tprint(x)\n",
    "#include <vector>\nint main() { return 0; } // done\n\n\n\nfoo();",
    "if (a && b || !c) {\n        return *p++ << 3;\n    }\n",
    "<table><tr><td>1</td></tr></table> <b>bold</b> &amp; <!-- c -->",
    "https://example.org/a/b?c=d&e=f#g user@example.org /usr/lib/x86_64-linux-gnu",
    "Größe, Straße, naïve café, Ångström, œuvre", "Cafe\u0301 e\u0301a\u0301 \u0301 a\u0300\u0301\u0302",
    "Zażółć gęślą jaźń", "Привет, мир! Ёлка 42", "Γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم ١٢٣",
    "नमस्ते दुनिया", "สวัสดีชาวโลก", "你好，世界！今天天气很好。", "こんにちは世界、カタカナ", "안녕하세요 세계",
    "កាន់តែពិសេស", "ქართული ენა", "Հայերեն", "አማርኛ",
    "😀", "😀😃", "👩‍👩‍👧‍👦 family", "🏳️‍🌈🇩🇪 👍🏽", "a\u200db \ufeffx \u00a0nbsp \u2003em \u3000wide",
    "ſ'ſ 'S 'ſ K 'ſt", "Ǆ ǅ ǆ ⅷ Ⅷ ² ½ ٣ 三", "\u1680\u180e\u0085\u2028\u2029x", "ABCdefGHI camelCaseXMLHttp",
    "A" * 100, "ab" * 60, "7" * 50, " " * 70, "\n" * 40, "\t" * 40, "!" * 50, "." * 3 + "?" * 7, "=" * 33,
    "=======\n<<<<<<< HEAD\n>>>>>>> x", "…“quoted”—dash–en‘s", "$5.00 €5 £5 ¥5 + ~ ^ ` | < >",
    "\x00\x01\x02 \x7f", "\U000e0041 \U0001f9ff \U00010400\U00010428 𝒳𝓎", "▁under ▁▁bar",
    "end with spaces    ", "   \n   \n  x\n", "\r\r\n\n\r", "tab\tsep\tvalues\n1\t2\t3\n",
]

PARTS = [
    " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "the", "The", "THE", " of", "ing", "'s", "'LL", "n't",
    "1", "22", "333", "4444", ".", ",", "...", "!?", "(", ")", "{", "};", "==", "->", "/", "//", "_", "-", "\"",
    "é", "ß", "И", "привет", "λ", "שׁ", "ع", "ال", "हि", "न्", "ไทย", "你", "好", "。", "，", "ひ", "カ", "한", "글",
    "\u0301", "\u200d", "😀", "👍🏽", "½", "Ⅷ", "٣", "ǅ", "ſ", "\u00a0", "\u3000", "\u0085", "<b>", "</s>",
]


def mixes(count, seed):
    rng = random.Random(seed)
    return ["".join(rng.choice(PARTS) for _ in range(rng.randint(1, 14))) for _ in range(count)]
