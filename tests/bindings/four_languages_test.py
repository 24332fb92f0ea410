"""The same chat through the command, C, C++, Python and Node says the same.
usage: four_languages_test.py NIBBLE SOURCE BUILD"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from support import SMOLLM2, ToolTest, main, model, require, run  # noqa: E402

require(SMOLLM2)
SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[2:4])
LINES = ["What is the capital of France?", "Und wie heißt „Wasser“ auf Français? 水", "Thank you!"]
LENGTH = 24

C = r"""
#include <nibble.h>
#include <stdio.h>
#include <string.h>
static char answers[3][4096];
static int append(const nibble_event* e, void* user) {
  if (e->kind == NIBBLE_EVENT_TEXT) strncat(user, e->text, e->text_size);
  return 0;
}
int main(int argc, char** argv) {
  const nibble_option options[] = {{"temp", "0"}, {"predict", argv[2]}, {NULL, NULL}};
  nibble_env* env; nibble_model* model; nibble_session* session;
  nibble_message messages[6];
  int i;
  if (nibble_env_create(NULL, &env, NULL) || nibble_model_open(env, argv[1], NULL, NULL, &model, NULL) ||
      nibble_session_create(model, options, &session, NULL)) return 1;
  for (i = 0; i < argc - 3; ++i) {
    messages[2 * i].role = "user";
    messages[2 * i].content = argv[3 + i];
    if (nibble_chat(session, messages, 2 * i + 1, append, answers[i], NULL, NULL)) return 1;
    messages[2 * i + 1].role = "assistant";
    messages[2 * i + 1].content = answers[i];
    printf("%s\n", answers[i]);
  }
  return 0;
}
"""
CPP = r"""
#include <nibble.hpp>
#include <iostream>
int main(int argc, char** argv) {
  nibble::Session session(nibble::Model(nibble::Env(), argv[1]), {{"temp", "0"}, {"predict", argv[2]}});
  nibble::Messages messages;
  for (int i = 3; i < argc; ++i) {
    messages.push_back({"user", argv[i]});
    std::string answer;
    for (const nibble::Event& event : session.stream(messages)) answer += event.text;
    std::cout << answer << '\n';
    messages.push_back({"assistant", answer});
  }
}
"""
PYTHON = r"""
import sys, nibble
session = nibble.Model(sys.argv[1]).session(temp=0, predict=int(sys.argv[2]))
messages = []
for line in sys.argv[3:]:
    messages.append({"role": "user", "content": line})
    answer = session.chat(messages).text()
    print(answer)
    messages.append({"role": "assistant", "content": answer})
"""
NODE = r"""
const nibble = require(process.env.NIBBLE_PACKAGE)
const [file, predict, ...lines] = process.argv.slice(1)
nibble.Model.open(file).then(async model => {
  const session = model.session({ temp: 0, predict: Number(predict) })
  const messages = []
  for (const content of lines) {
    messages.push({ role: 'user', content })
    const answer = await session.chat(messages).text()
    console.log(answer)
    messages.push({ role: 'assistant', content: answer })
  }
})
"""


class FourLanguages(ToolTest):
    @classmethod
    def setUpClass(cls):
        done = run("chat", "-m", model(SMOLLM2), "--temp", "0", "-n", str(LENGTH), "--no-history",
                   stdin="\n".join(LINES).encode() + b"\n")
        assert done.returncode == 0, done.stderr
        cls.want = done.stdout

    def says(self, *command, **more):
        env = {**os.environ, **more, "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run([*command, model(SMOLLM2), str(LENGTH), *LINES], capture_output=True,
                              env=env, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, self.want)

    def compiled(self, compiler, name, source):
        path, program = self.path(name, source.encode()), self.path("program")
        subprocess.run([*compiler, path, "-I", os.path.join(SOURCE, "runtime", "api"), "-o", program,
                        os.path.join(BUILD, "libnibble.so.1"), "-Wl,-rpath," + BUILD], check=True)
        return program

    def test_there_is_something_to_compare(self):
        self.assertGreater(len(self.want), 100)
        self.assertGreaterEqual(self.want.count(b"\n"), len(LINES))

    def test_c(self):
        self.says(self.compiled(["cc", "-std=c99"], "a.c", C))

    def test_cpp(self):
        self.says(self.compiled(["c++", "-std=c++17"], "a.cpp", CPP))

    def test_python(self):
        site = self.path("site")
        shutil.copytree(os.path.join(SOURCE, "bindings", "python", "nibble"),
                        os.path.join(site, "nibble"))
        shutil.copytree(os.path.join(BUILD, "bundled"), os.path.join(site, "nibble", "lib"))
        self.says(sys.executable, "-c", PYTHON, PYTHONPATH=site)

    def test_node(self):
        package = os.path.join(SOURCE, "bindings", "node")
        if not shutil.which("node") or not os.path.exists(os.path.join(package, "lib")):
            print("SKIPPED: the same chat in Node: node is not installed or the package not built")
            return
        self.says("node", "-e", NODE, NIBBLE_PACKAGE=package)


if __name__ == "__main__":
    main()
