/** Runs quantized language models on the CPU, in this process. */

/** Options are the command's, in camel case: `--top-k 40` is `topK: 40`, `--no-mmap` is
 * `noMmap: true`, a repeated `--stop` is an array. */
export type OptionValue = string | number | boolean | string[] | undefined

/** What is rejected or thrown: code is "NIBBLE_NOT_FOUND" and so on, hint what to do (may be ""). */
export interface NibbleError extends Error {
  code: string
  hint: string
}

export interface Message {
  role: 'system' | 'user' | 'assistant' | 'tool'
  content: string
}

/** A question alone stands for a conversation of one message. */
export type Conversation = string | Iterable<Message>

export interface JobOptions {
  /** Default: one that all models of the process share. */
  env?: Env
  /** Ends the job, which is rejected with the signal's reason. */
  signal?: AbortSignal
  /** What it throws ends the job, and is what the job is rejected with. */
  progress?: (done: number, total: number) => void
}

export interface SamplingOptions {
  temp?: number
  topK?: number
  topP?: number
  minP?: number
  typical?: number
  repeatPenalty?: number
  repeatLastN?: number
  presencePenalty?: number
  frequencyPenalty?: number
  logitBias?: string | string[]
  samplers?: string
  seed?: number
  /** Tokens of an answer at most; -1: until it ends. */
  predict?: number
  /** Each call adds; "" removes all. */
  stop?: string | string[]
  /** A conversation that outgrows the context: an error (default), or the oldest turns leave. */
  overflow?: 'error' | 'drop'
  reserve?: number
}

export interface SessionOptions extends SamplingOptions {
  ctxSize?: number
  threads?: number
  batchSize?: number
  cacheTypeK?: 'f32' | 'f16' | 'q8' | 'q4'
  cacheTypeV?: 'f32' | 'f16' | 'q8' | 'q4'
}

export interface OpenOptions extends JobOptions {
  threads?: number
  isa?: string
  noRepack?: boolean
  /** Reads the file into memory, for drives that come and go. */
  noMmap?: boolean
}

export interface EmbedOptions extends Pick<JobOptions, 'signal' | 'progress'> {
  /** Default: as the file says. */
  pooling?: 'mean' | 'cls' | 'last' | 'none'
  dims?: number
  noNormalize?: boolean
  truncate?: boolean
  threads?: number
}

export interface EnvUsage { threads: number, nModels: number, nSessions: number, fileBytes: number, bytes: number }

export interface ModelInfo {
  hasChatTemplate: boolean
  nParams: number
  nVocab: number
  nEmbd: number
  nCtxTrain: number
  fileBytes: number
  description: string
}

/** Bytes that a session needs, against those the machine has (-1: not known). */
export interface Plan {
  fits: boolean
  nCtx: number
  weights: number
  keysAndValues: number
  scratch: number
  available: number
}

export interface SessionUsage { threads: number, nCtx: number, nUsed: number, bytes: number }

/** What a generation came to. nReused of the nPrompt tokens were not evaluated again. */
export interface Result {
  finish: 'stop' | 'length' | 'context' | 'cancelled'
  nPrompt: number
  nReused: number
  nGenerated: number
  droppedMessages: number
  droppedTokens: number
  promptSeconds: number
  generateSeconds: number
}

export type Event =
  | { kind: 'progress', done: number, total: number, text?: undefined }
  | { kind: 'text' | 'reasoning', text: string }
  | { kind: 'done', result: Result, text?: undefined }

/** What models share: a budget of threads. */
export class Env {
  constructor (options?: { threads?: number, team?: 'threads' | 'openmp', noFileGuard?: boolean })
  usage (): EnvUsage
  /** Models and sessions go on without it. */
  close (): void
}

/** An opened model file. It does not change, and any number of sessions use it. */
export class Model {
  private constructor ()
  static open (path: string, options?: OpenOptions): Promise<Model>
  readonly info: ModelInfo
  /** A value of the file's metadata ("general.name") as text. */
  metadata (key: string): string | undefined
  plan (options?: SessionOptions): Plan
  /** parseSpecial: "<|im_end|>" is that token. Never for what a user typed. */
  tokenize (text: string, options?: { addSpecial?: boolean, parseSpecial?: boolean }): Int32Array
  /** Bytes, since tokens may end inside a code point. */
  detokenize (tokens: Iterable<number>, options?: { showSpecial?: boolean }): Buffer
  /** The prompt that a chat evaluates, through the model's own template. */
  render (conversation: Conversation): string
  countTokens (conversation: Conversation): number
  /** Texts as vectors. pooling 'none': the vectors of a text's tokens, one after the other. dims:
   * only the first so many numbers. truncate: leaves out the end of texts that are too long. */
  embed (texts: Iterable<string>, options?: EmbedOptions): Promise<Float32Array[]>
  session (options?: SessionOptions): Session
  /** Sessions keep what they need. Without it, the collector does this. */
  close (): void
}

/** A text that grows, and what the model remembers of it. It does one thing at a time: meanwhile
 * other calls throw NIBBLE_BUSY; only cancel() and close() act at once. */
export class Session {
  private constructor ()
  /** A second session that goes on from here; what both remember is kept once. */
  fork (): Session
  set (options: SamplingOptions): void
  usage (): SessionUsage
  /** Forgets all but the first nTokens. */
  rewind (nTokens: number): void
  /** What runs ends within 50 ms as a rule; its result says "cancelled". */
  cancel (): void
  /** Answers a conversation, given whole each time: what is known of it is not evaluated again.
   * Begins when the stream is first asked. */
  chat (conversation: Conversation, options?: { signal?: AbortSignal }): Stream
  /** Goes on with a text, without a template. */
  complete (text: string, options?: { signal?: AbortSignal }): Stream
  /** Makes the session's text these tokens, for programs that choose tokens themselves. */
  evaluate (tokens: Iterable<number>, options?: Pick<JobOptions, 'signal' | 'progress'>): Promise<void>
  /** Writes what the session remembers to a file, which appears whole or not at all. */
  save (path: string): Promise<void>
  /** Makes the session what was saved, by a session of the same model file. */
  load (path: string): Promise<void>
  /** What the model gives the next token: a number for each of the vocabulary, copied. */
  logits (): Float32Array
  /** A token chosen from them as the options say. It is not evaluated. */
  sample (): number
  close (): void
}

/** An answer as it comes: `for await (const piece of session.chat(...))`. Leaving early is fine; a
 * session has one stream at a time. */
export class Stream implements AsyncIterable<string> {
  private constructor ()
  [Symbol.asyncIterator] (): AsyncGenerator<string, void, undefined>
  /** Everything: progress of the prompt, text, reasoning, and done. */
  events (): AsyncGenerator<Event, void, undefined>
  /** What is left of the answer, as one text. */
  text (): Promise<string>
  /** What the model thought before it answered, so far. */
  readonly reasoning: string
  /** After the end. */
  readonly result: Result | undefined
}

/** What there is to know about a model file, also one that does not run here ("runs", "problem").
 * full: every item of long arrays. */
export function inspect (path: string, options?: { env?: Env, full?: boolean, ctxSize?: number, isa?: string }):
  Promise<Record<string, unknown>>

/** Is every byte of a model file what was written? Rejects with the name of what is damaged. */
export function verify (path: string, options?: JobOptions): Promise<void>

/** Writes source with weights of a smaller type ("Q4_K_M", "NF4" ...). */
export function quantize (source: string, target: string, type: string, options?: JobOptions & {
  pure?: boolean
  outputTensorType?: string
  tokenEmbeddingType?: string
  allowRequantize?: boolean
  strict?: boolean
  threads?: number
}): Promise<void>

/** Writes a GGUF file from a Hugging Face folder or a file of another format, or back. */
export function convert (source: string, target: string, options?: JobOptions & {
  type?: string
  allowRequantize?: boolean
  tokenizer?: string
  threads?: number
}): Promise<void>

export function version (): string
