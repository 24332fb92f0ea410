'use strict'
// The package on the real model, compared with what the command says. NIBBLE names the command.
const assert = require('node:assert')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, before, describe, test } = require('node:test')
const { Worker } = require('node:worker_threads')
const nibble = require(process.env.NIBBLE_PACKAGE ?? '..')

const FILE = process.env.NIBBLE_MODEL
const QUESTION = 'What is the capital of France?'
const LONG = 'The quick brown fox jumps over the lazy dog. '.repeat(150)
const say = (...args) => execFileSync(process.env.NIBBLE, args, { maxBuffer: 1e9 })
const greedy = { temp: 0, predict: 30 }
let model, want, folder

before(async () => {
  model = await nibble.Model.open(FILE)
  want = say('run', FILE, QUESTION, '--temp', '0', '-n', '30').toString().trimEnd()
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nibble_test_'))
})
after(() => {
  model.close()
  fs.rmSync(folder, { recursive: true })
})

describe('answers', () => {
  test('pieces are what the command says', async () => {
    const session = model.session(greedy)
    const stream = session.chat(QUESTION)
    const pieces = []
    for await (const piece of stream) pieces.push(piece)
    assert.strictEqual(pieces.join(''), want)
    assert.ok(pieces.length > 10)
    assert.strictEqual(stream.result.finish, 'length')
    assert.strictEqual(stream.result.nGenerated, 30)
    assert.strictEqual(stream.result.nPrompt, model.countTokens(QUESTION))
    const again = session.chat([{ role: 'user', content: QUESTION }])
    assert.strictEqual(await again.text(), want)
    assert.strictEqual(again.result.nReused, again.result.nPrompt - 1)
    session.close()
  })

  test('events', async () => {
    const events = []
    for await (const event of model.session(greedy).chat(QUESTION).events()) events.push(event)
    assert.strictEqual(events[0].kind, 'progress')
    assert.strictEqual(events[0].done, events[0].total)
    assert.strictEqual(events.at(-1).kind, 'done')
    assert.strictEqual(events.map(e => e.text ?? '').join(''), want)
  })

  test('two sessions at once, and the event loop goes on', async () => {
    let ticks = 0
    const timer = setInterval(() => ++ticks, 1)
    const texts = await Promise.all([1, 2].map(() => model.session({ ...greedy, threads: 1 }).chat(QUESTION).text()))
    clearInterval(timer)
    assert.deepStrictEqual(texts, [want, want])
    assert.ok(ticks > 0)
  })

  test('a conversation, forked', async () => {
    const session = model.session({ ...greedy, overflow: 'drop' })
    const first = session.chat(QUESTION)
    const messages = [{ role: 'user', content: QUESTION }, { role: 'assistant', content: await first.text() },
      { role: 'user', content: 'And of Italy?' }]
    const other = session.fork()
    const second = session.chat(messages)
    assert.strictEqual(await other.chat(messages).text(), await second.text())
    assert.ok(second.result.nReused >= first.result.nPrompt + first.result.nGenerated - 1)
  })

  test('saved and loaded', async () => {
    const file = path.join(folder, 'talk.session')
    const session = model.session(greedy)
    await session.chat(QUESTION).text()
    await session.save(file)
    const other = model.session(greedy)
    await other.load(file)
    assert.strictEqual(other.usage().nUsed, session.usage().nUsed)
    const again = other.chat(QUESTION)
    assert.strictEqual(await again.text(), want)
    assert.strictEqual(again.result.nReused, again.result.nPrompt - 1)
    await assert.rejects(other.load(FILE))
  })

  test('text without a template, and a stop string', async () => {
    const session = model.session(greedy)
    assert.strictEqual(await session.complete('Once upon a time').text() + '\n',
      say('run', FILE, 'Once upon a time', '--raw', '--temp', '0', '-n', '30').toString())
    session.set({ stop: ['Marseillaise', 'never'] })
    assert.strictEqual(await session.chat(QUESTION).text(), want.split('Marseillaise')[0])
  })
})

describe('numbers', () => {
  test('tokens', () => {
    const ids = say('tokenize', '-m', FILE, '--ids', QUESTION).toString().trim().split(/\s+/).map(Number)
    assert.deepStrictEqual(Array.from(model.tokenize(QUESTION, { addSpecial: true })), ids)
    assert.strictEqual(model.detokenize(ids).toString(), QUESTION)
    assert.strictEqual(model.detokenize([]).length, 0)
    assert.ok(model.render(QUESTION).includes(QUESTION))
    assert.strictEqual(model.tokenize('<|im_end|>', { parseSpecial: true }).length, 1)
  })

  test('logits', async () => {
    const file = path.join(folder, 'logits.npy')
    say('logits', '-m', FILE, '-p', QUESTION, '-o', file)
    const session = model.session(greedy)
    await session.evaluate(model.tokenize(QUESTION, { addSpecial: true }))
    const logits = session.logits()
    const bytes = fs.readFileSync(file).subarray(-4 * model.info.nVocab)
    assert.strictEqual(Buffer.compare(Buffer.from(logits.buffer), bytes), 0)
    assert.strictEqual(logits[session.sample()], logits.reduce((a, b) => Math.max(a, b)))
  })

  test('what a model says', async () => {
    const [known, told] = [await nibble.inspect(FILE), JSON.parse(say('inspect', FILE, '--json'))]
    for (const about of [known, told]) delete about.memory_plan.available // changes meanwhile
    assert.deepStrictEqual(known, told)
    assert.strictEqual(model.info.hasChatTemplate, true)
    assert.strictEqual(model.info.fileBytes, fs.statSync(FILE).size)
    assert.strictEqual(model.metadata('general.architecture'), 'llama')
    assert.strictEqual(model.metadata('no.such.key'), undefined)
    const plan = model.plan({ ctxSize: 1024 })
    assert.deepStrictEqual([plan.nCtx, plan.fits], [1024, true])
  })
})

describe('embeddings', () => {
  test('are the vectors of the command', async () => {
    const texts = ['a cat', 'stock prices fell']
    const want = JSON.parse(say('embed', FILE, ...texts)).data
    const vectors = await model.embed(texts)
    assert.deepStrictEqual(vectors, want.map(row => Float32Array.from(row.embedding)))
    const tokens = await model.embed(texts, { pooling: 'none', dims: 7 })
    assert.deepStrictEqual(tokens.map(t => t.length), want.map(row => row.tokens * 7))
    await assert.rejects(model.embed(['a', 'b '.repeat(9000)]), { code: 'NIBBLE_BAD_ARGUMENT' })
    await assert.rejects(model.embed(texts, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })
})

describe('ends', () => {
  test('errors', async () => {
    await assert.rejects(nibble.Model.open('/does/not/exist.gguf'),
      e => e.code === 'NIBBLE_NOT_FOUND' && e.message.includes('/does/not/exist.gguf') && e instanceof Error)
    assert.throws(() => model.session({ noSuchOption: 1 }), /no-such-option/)
    await assert.rejects(model.session({ ctxSize: 64 }).chat(LONG).text(), { code: 'NIBBLE_CONTEXT_FULL' })
    assert.throws(() => model.render('a\0b'), TypeError)
    assert.throws(() => new nibble.Model(), TypeError)
  })

  test('closed things are errors, order is free', async () => {
    const another = await nibble.Model.open(FILE)
    const session = another.session(greedy)
    another.close()
    another.close()
    assert.strictEqual(await session.chat(QUESTION).text(), want)
    session.close()
    assert.throws(() => session.usage(), { code: 'NIBBLE_BAD_HANDLE' })
    assert.throws(() => another.info, { code: 'NIBBLE_BAD_HANDLE' })
    session.cancel()
  })

  test('an AbortSignal ends an answer, also in its prompt', async () => {
    const session = model.session({ ...greedy, predict: 100000, ctxSize: 2048 })
    for (const prompt of [LONG, 'Tell me a story.']) {
      const controller = new AbortController()
      const stream = session.chat(prompt, { signal: controller.signal })
      if (prompt === LONG) setImmediate(() => controller.abort(new RangeError('mine')))
      await assert.rejects(async () => {
        for await (const piece of stream) controller.abort(new RangeError(piece && 'mine'))
      }, { name: 'RangeError', message: 'mine' })
    }
    await assert.rejects(session.chat('x', { signal: AbortSignal.abort() }).text(), { name: 'AbortError' })
    session.set({ predict: 30 })
    assert.strictEqual(await session.chat(QUESTION).text(), want)
  })

  test('busy, cancelled, left early, closed in the middle', async () => {
    const session = model.session({ ...greedy, predict: 100000, ctxSize: 2048 })
    const all = session.chat(LONG).text()
    await new Promise(resolve => setImmediate(resolve))
    assert.throws(() => session.usage(), { code: 'NIBBLE_BUSY' })
    session.cancel()
    assert.strictEqual(await all, '')
    for await (const piece of session.chat('Tell me a story.')) {
      assert.ok(piece)
      break
    }
    const last = session.chat('Tell me a story.')[Symbol.asyncIterator]()
    await last.next()
    const pending = last.next()
    await new Promise(resolve => setImmediate(resolve))
    session.close()
    await pending.catch(e => assert.strictEqual(e.code, 'NIBBLE_BAD_HANDLE'))
    await assert.rejects(session.chat('x').text(), { code: 'NIBBLE_BAD_HANDLE' })
  })

  test('progress, what it throws, a signal', async () => {
    const seen = [];
    (await nibble.Model.open(FILE, { progress: (done, total) => seen.push(done / total) })).close()
    assert.ok(seen.length > 0 && seen.every((x, i) => i === 0 || x >= seen[i - 1]) && seen.at(-1) <= 1)
    const progress = () => { throw new RangeError('mine') }
    await assert.rejects(nibble.verify(FILE, { progress }), { name: 'RangeError' })
    await assert.rejects(nibble.Model.open(FILE, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })

  test('jobs', async () => {
    const file = path.join(folder, 'small.gguf')
    await nibble.quantize(FILE, file, 'Q4_0', { allowRequantize: true, pure: true })
    await nibble.verify(file)
    const small = await nibble.Model.open(file)
    assert.match(small.info.description, /Q4_0/)
    small.close()
    await assert.rejects(nibble.convert(path.join(folder, 'none'), file))
  })

  test('an environment of its own', async () => {
    const env = new nibble.Env({ threads: 1 })
    const mine = await nibble.Model.open(FILE, { env })
    mine.session()
    assert.deepStrictEqual([env.usage().threads, env.usage().nModels], [1, 1])
    mine.close()
    env.close()
  })

  test('worker threads have a package of their own, and may end in the middle', async () => {
    const worker = new Worker(`
      const { parentPort, workerData } = require('node:worker_threads')
      const nibble = require(workerData.module)
      nibble.Model.open(workerData.file).then(async model => {
        const session = model.session({ temp: 0, predict: 30 })
        parentPort.postMessage(await session.chat(workerData.question).text())
        session.set({ predict: 100000 })
        for await (const _ of session.chat('Tell me a story.')) parentPort.postMessage('on')
      })`, { eval: true, workerData: { module: require.resolve(process.env.NIBBLE_PACKAGE ?? '..'), file: FILE, question: QUESTION } })
    const heard = []
    await new Promise((resolve, reject) => {
      worker.on('error', reject)
      worker.on('message', message => heard.push(message) >= 3 && resolve())
    })
    await worker.terminate()
    assert.deepStrictEqual(heard.slice(0, 3), [want, 'on', 'on'])
  })

  test('a process may end in the middle', () => {
    const script = `
      const nibble = require(${JSON.stringify(require.resolve(process.env.NIBBLE_PACKAGE ?? '..'))})
      nibble.Model.open(${JSON.stringify(FILE)}).then(model => {
        model.session({ ctxSize: 2048 }).chat(${JSON.stringify(LONG)}).text()
        setImmediate(() => process.exit(7))
      })`
    assert.throws(() => execFileSync(process.execPath, ['-e', script]), { status: 7 })
  })
})
