'use strict'
// nibble for Node and Electron; index.d.ts says what is here. The classes keep the library's handles
// and turn its calls into promises and iterators; addon.c and tasks.c make the calls.
const addon = require('./lib/nibble.node')

const ADD_SPECIAL = 1
const PARSE_SPECIAL = 2
const SHOW_SPECIAL = 4
const dispose = Symbol.dispose ?? Symbol.for('nodejs.dispose')

function text (value, what) {
  if (typeof value !== 'string') throw new TypeError(`${what}: expected a string`)
  if (value.includes('\0')) throw new TypeError(`${what}: a zero character in the text`)
  return value
}

// {topK: 40} -> ["top-k", "40"]; true: no value, false: not given, an array: once for each.
function pairs (options) {
  const flat = []
  for (const [name, value] of Object.entries(options)) {
    if (value === false || value === undefined) continue
    const spelled = name.replace(/[A-Z]/g, letter => '-' + letter.toLowerCase())
    for (const one of Array.isArray(value) ? value : [value]) {
      flat.push(text(spelled, 'option'), text(one === true ? '' : String(one), name))
    }
  }
  return flat
}

function messages (conversation) {
  const list = typeof conversation === 'string' ? [{ role: 'user', content: conversation }] : conversation
  return Array.from(list).flatMap(m => [text(m.role, 'role'), text(m.content, 'content')])
}

const tokensOf = tokens => tokens instanceof Int32Array ? tokens : Int32Array.from(tokens)

// Calls cancel() when the signal says so, until work() has settled; then the reason is what it throws.
async function abortable (signal, cancel, work) {
  signal?.throwIfAborted()
  signal?.addEventListener('abort', cancel)
  try {
    return await work()
  } catch (error) {
    if (error.code === 'NIBBLE_CANCELLED') signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}

class Env {
  #handle
  constructor (options = {}) {
    this.#handle = addon.createEnv(pairs(options))
  }

  usage () { return addon.envUsage(this.#handle) }
  close () { addon.close(this.#handle) }
  [dispose] () { this.close() }

  // A job of the addon: call(env, cancel, onProgress).
  static async run ({ env = Env.shared(), signal, progress }, call) {
    const cancel = addon.createCancel(env.#handle)
    const stop = () => addon.requestCancel(cancel)
    let thrown
    const onProgress = progress && ((done, total) => {
      if (thrown !== undefined) return
      try {
        progress(done, total)
      } catch (error) {
        thrown = { error }
        stop()
      }
    })
    try {
      const value = await abortable(signal, stop, () => call(env.#handle, cancel, onProgress))
      if (thrown === undefined) return value
    } catch (error) {
      if (thrown === undefined) throw error
    } finally {
      addon.close(cancel)
    }
    throw thrown.error
  }

  inspect (path, options) { return addon.inspect(this.#handle, path, pairs(options)) }

  static #shared
  static shared () { return (Env.#shared ??= new Env()) }
}

function split ({ env, signal, progress, ...options } = {}) {
  return [{ env, signal, progress }, pairs(options)]
}

async function inspect (path, { env = Env.shared(), ...options } = {}) {
  return JSON.parse(await env.inspect(text(path, 'path'), options))
}

async function verify (path, options) {
  const [job] = split(options)
  return Env.run(job, (env, cancel, progress) => addon.verify(env, cancel, text(path, 'path'), progress))
}

async function quantize (source, target, type, options) {
  const [job, more] = split(options)
  return Env.run(job, (env, cancel, progress) =>
    addon.quantize(env, cancel, text(source, 'source'), text(target, 'target'), text(type, 'type'), more, progress))
}

async function convert (source, target, options) {
  const [job, more] = split(options)
  return Env.run(job, (env, cancel, progress) =>
    addon.convert(env, cancel, text(source, 'source'), text(target, 'target'), more, progress))
}

class Model {
  #handle
  #env
  constructor (handle, env) {
    if (typeof handle !== 'object') throw new TypeError('Model: use await Model.open(path)')
    this.#handle = handle
    this.#env = env
  }

  static async open (path, options) {
    const [job, more] = split(options)
    return new Model(await Env.run(job, (env, cancel, progress) =>
      addon.open(env, cancel, text(path, 'path'), more, progress)), job.env)
  }

  get info () { return addon.modelInfo(this.#handle) }
  metadata (key) { return addon.modelMetadata(this.#handle, text(key, 'key')) }
  plan (options = {}) { return addon.plan(this.#handle, pairs(options)) }
  tokenize (string, { addSpecial = false, parseSpecial = false } = {}) {
    return addon.tokenize(this.#handle, string, (addSpecial && ADD_SPECIAL) | (parseSpecial && PARSE_SPECIAL))
  }

  detokenize (tokens, { showSpecial = false } = {}) {
    return addon.detokenize(this.#handle, tokensOf(tokens), showSpecial ? SHOW_SPECIAL : 0)
  }

  render (conversation) { return addon.render(this.#handle, messages(conversation)) }
  countTokens (conversation) { return addon.countTokens(this.#handle, messages(conversation)) }
  async embed (texts, { signal, progress, ...options } = {}) {
    if (typeof texts === 'string') throw new TypeError('texts: expected an array of strings')
    const all = Array.from(texts, string => text(string, 'texts'))
    return Env.run({ env: this.#env, signal, progress }, (env, cancel, onProgress) =>
      addon.embed(this.#handle, cancel, all, pairs(options), onProgress))
  }

  session (options = {}) { return new Session(addon.createSession(this.#handle, pairs(options))) }
  close () { addon.close(this.#handle) }
  [dispose] () { this.close() }
}

class Session {
  #handle
  constructor (handle) {
    if (typeof handle !== 'object') throw new TypeError('Session: use model.session()')
    this.#handle = handle
  }

  fork () { return new Session(addon.forkSession(this.#handle)) }
  set (options) {
    const flat = pairs(options)
    for (let i = 0; i < flat.length; i += 2) addon.setOption(this.#handle, flat[i], flat[i + 1])
  }

  usage () { return addon.sessionUsage(this.#handle) }
  rewind (nTokens) { addon.rewind(this.#handle, nTokens) }
  cancel () { addon.cancelSession(this.#handle) }

  chat (conversation, { signal } = {}) {
    const flat = messages(conversation)
    return this.#stream(signal, () => addon.chatBegin(this.#handle, flat))
  }

  complete (string, { signal } = {}) {
    return this.#stream(signal, () => addon.completeBegin(this.#handle, string))
  }

  #stream (signal, begin) {
    const cancel = () => this.cancel()
    return new Stream(begin, () => addon.next(this.#handle), call => abortable(signal, cancel, call), signal)
  }

  async evaluate (tokens, { signal, progress } = {}) {
    return abortable(signal, () => this.cancel(),
      () => addon.evaluate(this.#handle, tokensOf(tokens), progress))
  }

  async save (path) { await addon.save(this.#handle, text(path, 'path')) }
  async load (path) { await addon.load(this.#handle, text(path, 'path')) }
  logits () { return addon.logits(this.#handle) }
  sample () { return addon.sample(this.#handle) }
  close () { addon.close(this.#handle) }
  [dispose] () { this.close() }
}

class Stream {
  result = undefined
  reasoning = ''
  #begin
  #next
  #abortable
  #signal
  #last = Promise.resolve()
  constructor (begin, next, abortable, signal) {
    this.#begin = begin
    this.#next = next
    this.#abortable = abortable
    this.#signal = signal
  }

  async #step () {
    if (this.result !== undefined) return undefined
    const event = await this.#abortable(async () => {
      const begin = this.#begin
      this.#begin = undefined
      await begin?.()
      return this.#next()
    })
    if (event.kind === 'reasoning') this.reasoning += event.text
    if (event.kind === 'done') {
      this.result = event.result
      if (event.result.finish === 'cancelled') this.#signal?.throwIfAborted()
    }
    return event
  }

  // One after the other, also when next() is called several times at once.
  #nextEvent () {
    const step = this.#last.then(() => this.#step())
    this.#last = step.catch(() => {})
    return step
  }

  async * events () {
    for (let event; (event = await this.#nextEvent()) !== undefined;) {
      if (event.text !== '') yield event
    }
  }

  async * [Symbol.asyncIterator] () {
    for await (const event of this.events()) {
      if (event.kind === 'text') yield event.text
    }
  }

  async text () {
    let all = ''
    for await (const piece of this) all += piece
    return all
  }
}

module.exports = { Env, Model, Session, Stream, inspect, verify, quantize, convert, version: addon.version }
