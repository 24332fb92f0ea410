"""The package on the real model, compared with what the command says. NIBBLE names the command."""
import array
import asyncio
import json
import logging
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

import nibble

COMMAND = os.environ["NIBBLE"]
FILE = os.environ["NIBBLE_MODEL"]
QUESTION = "What is the capital of France?"
LONG = "The quick brown fox jumps over the lazy dog. " * 150


def say(*args):
    done = subprocess.run([COMMAND, *args], capture_output=True, timeout=300, check=True)
    return done.stdout.decode()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = nibble.Model(FILE)
        cls.want = say("run", FILE, QUESTION, "--temp", "0", "-n", "30").rstrip("\n")

    @classmethod
    def tearDownClass(cls):
        cls.model.close()

    def session(self, **options):
        return self.model.session(**{"temp": 0, "predict": 30, **options})

    def path(self, name):
        folder = tempfile.mkdtemp(prefix="nibble_test_")
        self.addCleanup(shutil.rmtree, folder)
        return os.path.join(folder, name)


class Answers(Case):
    def test_pieces_are_what_the_command_says(self):
        with self.session() as session:
            stream = session.chat(QUESTION)
            pieces = list(stream)
            self.assertEqual("".join(pieces), self.want)
            self.assertGreater(len(pieces), 10)
            self.assertEqual(stream.result.finish, nibble.Finish.LENGTH)
            self.assertEqual(stream.result.n_generated, 30)
            self.assertEqual(stream.result.n_prompt, self.model.count_tokens(QUESTION))
            self.assertEqual(list(stream), [])
            again = session.chat([{"role": "user", "content": QUESTION}])
            self.assertEqual(again.text(), self.want)
            self.assertEqual(again.result.n_reused, again.result.n_prompt - 1)

    def test_events(self):
        with self.session() as session:
            events = list(session.chat(QUESTION).events())
        self.assertEqual(events[0].kind, nibble.EventKind.PROGRESS)
        self.assertEqual(events[0].done, events[0].total)
        self.assertEqual(events[-1].kind, nibble.EventKind.DONE)
        self.assertEqual("".join(e.text for e in events), self.want)

    def test_text_without_a_template(self):
        text = "Once upon a time"
        with self.session() as session:
            self.assertEqual(session.complete(text).text() + "\n",
                             say("run", FILE, text, "--raw", "--temp", "0", "-n", "30"))

    def test_conversation(self):
        with self.session(overflow="drop") as session:
            first = session.chat(QUESTION)
            messages = [{"role": "user", "content": QUESTION},
                        {"role": "assistant", "content": first.text()},
                        {"role": "user", "content": "And of Italy?"}]
            with session.fork() as other:
                second = session.chat(messages)
                text = second.text()
                self.assertEqual(other.chat(messages).text(), text)
            # All of the first turn was known, its last token perhaps not evaluated.
            self.assertGreaterEqual(second.result.n_reused,
                                    first.result.n_prompt + first.result.n_generated - 1)

    def test_save_and_load(self):
        path = self.path("talk.session")
        with self.session() as session, self.session() as other:
            session.chat(QUESTION).text()
            session.save(path)
            other.load(path)
            self.assertEqual(other.usage().n_used, session.usage().n_used)
            again = other.chat(QUESTION)
            self.assertEqual(again.text(), self.want)
            self.assertEqual(again.result.n_reused, again.result.n_prompt - 1)
            with self.assertRaises(nibble.Error):
                other.load(FILE)

    def test_stop(self):
        with self.session(stop=["Marseillaise", "never"]) as session:
            stream = session.chat(QUESTION)
            self.assertEqual(stream.text(), self.want.split("Marseillaise")[0])
            self.assertEqual(stream.result.finish, nibble.Finish.STOP)
            session.set(stop="")
            self.assertEqual(session.chat(QUESTION).text(), self.want)

    def test_async_for(self):
        async def answer():
            with self.session(threads=1) as session:
                return "".join([piece async for piece in session.chat(QUESTION)])

        async def both():
            return await asyncio.gather(answer(), answer())

        self.assertEqual(asyncio.run(both()), [self.want, self.want])

    def test_async_cancel(self):
        async def stop_it(session):
            begun = asyncio.Event()

            async def answer():
                async for _ in session.chat("Tell me a story."):
                    begun.set()

            task = asyncio.create_task(answer())
            await begun.wait()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        with self.session(predict=2000) as session:
            asyncio.run(stop_it(session))
            session.set(predict=30)
            self.assertEqual(session.chat(QUESTION).text(), self.want)


class Numbers(Case):
    def test_tokens(self):
        ids = [int(i) for i in say("tokenize", "-m", FILE, "--ids", QUESTION).split()]
        self.assertEqual(self.model.tokenize(QUESTION, add_special=True), ids)
        self.assertEqual(self.model.detokenize(ids).decode(), QUESTION)
        self.assertEqual(self.model.detokenize([]), b"")
        self.assertIn(QUESTION, self.model.render(QUESTION))
        control = self.model.tokenize("<|im_end|>", parse_special=True)
        self.assertEqual(len(control), 1)
        self.assertNotIn(control[0], self.model.tokenize("<|im_end|>"))
        self.assertEqual(self.model.detokenize(control, show_special=True), b"<|im_end|>")

    def logits(self):
        """Those that the command writes for the last token, and those of the package."""
        path = self.path("logits.npy")
        say("logits", "-m", FILE, "-p", QUESTION, "-o", path)
        with self.session() as session:
            session.evaluate(self.model.tokenize(QUESTION, add_special=True))
            found, token = session.logits(), session.sample()
        with open(path, "rb") as file:
            want = array.array("f", file.read()[-4 * self.model.info.n_vocab:])
        return want, found, token

    def test_logits(self):
        want, found, token = self.logits()
        self.assertEqual(bytes(found), want.tobytes())
        self.assertEqual(want[token], max(want))

    def test_logits_are_of_numpy(self):
        try:
            import numpy
        except ImportError:
            print("SKIPPED: numpy is not installed; logits are a memoryview")
            return
        _, found, token = self.logits()
        self.assertIsInstance(found, numpy.ndarray)
        self.assertEqual((found.dtype, found.shape), (numpy.float32, (self.model.info.n_vocab,)))
        self.assertEqual(int(found.argmax()), token)
        found[0] = 1  # a copy, and one's own

    def test_what_a_model_says(self):
        info = self.model.info
        self.assertTrue(info.has_chat_template)
        self.assertEqual(info.file_bytes, os.path.getsize(FILE))
        self.assertEqual(self.model.metadata("general.architecture"), "llama")
        self.assertIsNone(self.model.metadata("no.such.key"))
        plan = self.model.plan(ctx_size=1024)
        self.assertEqual((plan.n_ctx, plan.fits), (1024, True))
        known, want = nibble.inspect(FILE), json.loads(say("inspect", FILE, "--json"))
        for about in (known, want):
            del about["memory_plan"]["available"]  # changes meanwhile
        self.assertEqual(known, want)
        self.assertRegex(repr(self.model), r"^<nibble\.Model llama .*, 98 MB>$")

    def test_embed(self):
        texts = ["a cat", "stock prices fell"]
        want = json.loads(say("embed", FILE, *texts))["data"]
        rows = self.model.embed(texts)
        self.assertEqual([row.tolist() for row in rows],
                         [[struct.unpack("f", struct.pack("f", x))[0] for x in row["embedding"]]
                          for row in want])
        tokens = self.model.embed_tokens(texts, dims=7)
        self.assertEqual([[len(row) for row in t] for t in tokens],
                         [[7] * row["tokens"] for row in want])
        counted = []
        self.model.embed(texts * 20, progress=lambda done, total: counted.append((done, total)))
        self.assertEqual(counted[-1], (40, 40))
        with self.assertRaises(nibble.Error) as caught:
            self.model.embed(["a", "b " * 9000])
        self.assertIn("text 2: expected at most", str(caught.exception))
        self.assertEqual(len(self.model.embed([])), 0)


class Ends(Case):
    def test_errors(self):
        with self.assertRaises(nibble.Error) as caught:
            nibble.Model("/does/not/exist.gguf")
        self.assertEqual(caught.exception.status, nibble.Status.NOT_FOUND)
        self.assertIn("/does/not/exist.gguf", str(caught.exception))
        copy = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((copy.status, str(copy), copy.hint),
                         (caught.exception.status, str(caught.exception), caught.exception.hint))
        with self.assertRaisesRegex(nibble.Error, "no-such-option"):
            self.session(no_such_option=1)
        with self.session(ctx_size=64) as session, self.assertRaises(nibble.Error) as caught:
            session.chat(LONG).text()
        self.assertEqual(caught.exception.status, nibble.Status.CONTEXT_FULL)
        with self.assertRaises(ValueError):
            self.model.render("a\0b")

    def test_closed_things_are_errors_and_order_is_free(self):
        model = nibble.Model(FILE)
        session = model.session(temp=0, predict=30)
        model.close()
        model.close()
        self.assertEqual(session.chat(QUESTION).text(), self.want)
        session.close()
        for use in (lambda: session.chat(QUESTION), lambda: model.info, lambda: model.session()):
            with self.assertRaises(nibble.Error) as caught:
                use()
            self.assertEqual(caught.exception.status, nibble.Status.BAD_HANDLE)
        self.assertEqual((repr(model), repr(session)),
                         ("<nibble.Model, closed>", "<nibble.Session, closed>"))

    def test_the_collector_frees(self):
        with nibble.Env(threads=1) as env:
            model = nibble.Model(FILE, env=env)
            model.session()
            self.assertEqual((env.usage().n_models, env.usage().n_sessions), (1, 0))
            del model
            self.assertEqual((env.usage().n_models, env.usage().threads), (0, 1))

    def test_progress_and_what_it_raises(self):
        seen = []
        nibble.Model(FILE, progress=lambda done, total: seen.append((done, total))).close()
        self.assertEqual(seen[-1][0], seen[-1][1])
        self.assertEqual(seen, sorted(seen))

        def stop(done, total):
            raise KeyError("mine")

        with self.assertRaises(KeyError):
            nibble.Model(FILE, progress=stop)
        with self.assertRaises(KeyError):
            nibble.verify(FILE, progress=stop)

    def test_jobs(self):
        path = self.path("small.gguf")
        seen = []
        nibble.quantize(FILE, path, "Q4_0", allow_requantize=True, pure=True,
                        progress=lambda done, total: seen.append(done))
        self.assertTrue(seen)
        nibble.verify(path)
        with nibble.Model(path) as model:
            self.assertIn("Q4_0", model.info.description)
        with self.assertRaises(nibble.Error):
            nibble.convert(self.path("none"), path)


class Threads(Case):
    def test_cancel_and_busy_from_another_thread(self):
        """The thread that generates gives the interpreter away: else nobody could see it busy."""
        with self.session(predict=100000, ctx_size=2048) as session:
            stream = session.chat(LONG)
            thread = threading.Thread(target=stream.text)
            thread.start()
            while not session._lock.locked():  # asking the library would make that one's call fail
                pass
            with self.assertRaises(nibble.Error) as caught:
                session.usage()
            self.assertEqual(caught.exception.status, nibble.Status.BUSY)
            while thread.is_alive():  # it may be between two calls
                session.cancel()
                thread.join(0.001)
            self.assertEqual(stream.result.finish, nibble.Finish.CANCELLED)

    def test_close_while_another_thread_uses_it(self):
        for _ in range(5):
            session = self.session(predict=100000)
            stream = session.chat("Tell me a story.")
            ends = []

            def answer(stream=stream, ends=ends):
                try:
                    stream.text()
                except nibble.Error as error:
                    ends.append(error.status)

            next(stream)
            thread = threading.Thread(target=answer)
            thread.start()
            session.close()
            thread.join()
            # Seen as cancelled in the call, or as closed by the next.
            self.assertEqual(ends or [nibble.Status.BAD_HANDLE], [nibble.Status.BAD_HANDLE])
        with self.session() as session:
            session.evaluate([1, 2, 3], progress=lambda done, total: session.close())

    def test_ctrl_c(self):
        """While a prompt is evaluated, in one call of C; and while a model opens."""
        script = f'''
import os, signal, threading, nibble
def press_when(ready):
    def press():
        while not ready():
            pass
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=press).start()
model = nibble.Model({FILE!r})
session = model.session(temp=0, predict=30, ctx_size=2048)
stream = session.chat({LONG!r})
press_when(session._lock.locked)
try:
    print("answered", stream.text())
except KeyboardInterrupt:
    print("interrupted")
print(session.chat({QUESTION!r}).text())
'''
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60,
                              check=False)
        self.assertEqual(done.stdout.decode(), f"interrupted\n{self.want}\n", done.stderr)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_a_forked_child_may_begin_anew(self):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                try:
                    self.model.session()
                except nibble.Error as error:
                    anew = nibble.Model(FILE).session(temp=0, predict=30, threads=1)
                    code = 0 if (error.status in (nibble.Status.FORKED, nibble.Status.BAD_HANDLE)
                                 and anew.chat(QUESTION).text() == self.want) else 2
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        with self.session() as session:
            self.assertEqual(session.chat(QUESTION).text(), self.want)

    def test_log(self):
        """A model with settings that nibble lacks says so to the logger."""
        sys.path.insert(0, os.environ["NIBBLE_TOOL_TESTS"])
        from support import with_sampling
        path = with_sampling(FILE, self.path("odd.gguf"))
        with self.assertLogs("nibble", logging.WARNING) as logs:
            nibble.Model(path).close()
        self.assertIn("mirostat", " ".join(logs.output))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.main()
