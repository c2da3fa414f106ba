/**
 * Measures what a model of 1.1 billion parameters needs: random weights of TinyLlama 1.1B's shape, written as a sharded BF16
 * checkpoint, are loaded, asked, and edited, in a process of their own whose memory is read from outside. What the model says
 * is noise; what it takes is not. Ends with 1 where more was taken than --limit. Linux only.
 *
 *   own      anonymous memory at the peak: what the process has for itself
 *   in all   the same with the pages of weight files that lie in memory, each counted once (proportional set size), however
 *            many sessions have mapped it; the system may drop these
 *
 *   npm run eval:large -- --out docs/large-model.json
 *     --memory 8              GiB that the model may count on: decides whether its weights stay in 16 bits
 *     --limit 12              GiB that the process may take in all at its peak
 *     --methods rome,ft-m     what edits
 *     --set rome.tokensPerUnit=2   a setting, any number of times
 *     --folder DIR            where the checkpoint is written, 2.1 GiB (default: a temporary folder, removed at the end)
 */
import { fork } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createRandom, describeModel, EDITORS, loadHparams, loadModel, readFacts } from '../../dist/index.js'
import { describeMachine, today } from '../published.mjs'

const { values: options } = parseArgs({
  options: {
    memory: { type: 'string', default: '8' },
    limit: { type: 'string', default: '12' },
    methods: { type: 'string', default: 'rome,ft-m' },
    set: { type: 'string', multiple: true, default: ['rome.tokensPerUnit=2'] },
    folder: { type: 'string' },
    out: { type: 'string' },
  },
})

const ROOT = new URL('../..', import.meta.url)
const GIB = 2 ** 30
/** TinyLlama 1.1B (Zhang et al. 2024, arXiv 2401.02385). */
const SHAPE = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: 22,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  max_position_embeddings: 2048,
  vocab_size: 32000,
  tie_word_embeddings: false,
  bos_token_id: 1,
  eos_token_id: 2,
}
const SHARDS = 2
const SAMPLE_MS = 20
/** Counting pages takes a while, in which the process counted cannot map any. */
const COUNT_MS = 3000
const NEW_TOKENS = 16

if (process.send === undefined) await supervise()
else await work()

/** Writes the checkpoint, has it worked with in another process, and tells what that took. */
async function supervise() {
  const parent = options.folder ?? (await mkdtemp(join(tmpdir(), 'whichedit-large-')))
  const folder = join(parent, 'tinyllama-1.1b-random')
  try {
    if (!existsSync(join(folder, 'config.json'))) {
      console.log('writing 2.1 GiB of random weights …')
      await writeCheckpoint(folder)
    }
    const report = await watch(fork(fileURLToPath(import.meta.url), process.argv.slice(2).concat('--folder', parent)))
    const peak = Math.max(...report.steps.map(({ allBytes }) => allBytes))
    const isInside = peak <= Number(options.limit) * GIB
    console.log(`peak ${gib(peak)} in all, limit ${options.limit} GiB: ${isInside ? 'inside' : 'OUTSIDE'}`)
    if (options.out)
      await writeFile(options.out, `${JSON.stringify({ ...report, limitGiB: Number(options.limit) }, null, 1)}\n`)
    if (!isInside) process.exitCode = 1
  } finally {
    if (options.folder === undefined) await rm(parent, { recursive: true, force: true })
  }
}

/** Follows a process's memory from outside: what it computes blocks its own timers. */
async function watch(child) {
  const steps = []
  let about = {}
  let step
  const raise = (key, bytes) => {
    if (step !== undefined) step[key] = Math.max(step[key], bytes)
  }
  const count = () => raise('allBytes', readKib(`/proc/${child.pid}/smaps_rollup`, 'Pss'))
  const sample = () => raise('ownBytes', readKib(`/proc/${child.pid}/status`, 'RssAnon'))
  const timers = [setInterval(sample, SAMPLE_MS), setInterval(count, COUNT_MS)]
  child.on('message', (message) => {
    if (message.about) about = message.about
    if (message.begin) step = { step: message.begin, ownBytes: 0, allBytes: 0 }
    if (!message.end) return
    sample()
    count()
    steps.push({ ...step, ...message.end })
    const { ownBytes, allBytes, seconds, note } = steps.at(-1)
    console.log(
      `${step.step.padEnd(16)} ${seconds.toFixed(1).padStart(7)} s   own ${gib(ownBytes)}, in all ${gib(allBytes)}   ${note}`,
    )
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  for (const timer of timers) clearInterval(timer)
  if (code !== 0) throw new Error(`the measured process ended with ${code}`)
  return { date: today(), machine: describeMachine(), node: process.versions.node, ...about, steps }
}

/** A line of a file under /proc, in bytes; 0 once the process has ended. */
function readKib(file, key) {
  try {
    return 1024 * Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(readFileSync(file, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** The measured process. */
async function work() {
  const ctx = {
    random: createRandom('large model'),
    signal: new AbortController().signal,
    progress: () => {},
    cacheDir: join(options.folder, 'cache'),
    now: () => performance.now(),
  }
  const folder = join(options.folder, 'tinyllama-1.1b-random')
  const memoryBytes = Number(options.memory) * GIB
  const { use } = await describeModel(folder, ctx, { hubCache: '' }, { memoryBytes })
  const onnxruntime = JSON.parse(await readFile(new URL('node_modules/onnxruntime-node/package.json', ROOT), 'utf8'))
  process.send({
    about: { onnxruntime: onnxruntime.version, memoryGiB: Number(options.memory), use, settings: options.set },
  })
  const model = await step('load', async () => {
    const opened = await loadModel(folder, { hubCache: '' }, ctx, { memoryBytes })
    return [opened, `weights used as ${use.usedAs}${use.because === null ? '' : `: ${use.because}`}`]
  })
  const { facts } = await readFacts('countries')
  const fact = facts[0]
  await step('answer', async () => {
    const [{ ids }] = await model.generate([fact.prompt], { maxNewTokens: NEW_TOKENS })
    return [ids, `${ids.length} tokens, compiling included`]
  })
  await step('answer again', async () => {
    const [{ ids }] = await model.generate([fact.prompt], { maxNewTokens: NEW_TOKENS })
    return [ids, `${ids.length} tokens`]
  })
  const text = await Promise.all(
    ['architecture', 'adding-an-editor', 'methods'].map((name) => readFile(new URL(`docs/${name}.md`, ROOT), 'utf8')),
  )
  for (const name of options.methods.split(',')) {
    const editor = EDITORS[name]
    const hparams = { ...(await loadHparams(editor, model.config)), ...ownSettings(name) }
    const prepared = await step(`${name}: prepare`, async () => {
      const made = await editor.prepare?.({ model, hparams, material: { text, facts: facts.slice(1) } }, ctx)
      return [made, made?.covariance ? `covariance over ${made.covariance.tokens} tokens` : '']
    })
    const patch = await step(`${name}: edit`, async () => {
      const made = await editor.edit({ model, facts: [fact], hparams, prepared, history: [] }, ctx)
      return [
        made,
        Object.entries(made.report)
          .map(([key, value]) => `${key} ${Number(value.toPrecision(3))}`)
          .slice(0, 4)
          .join(', '),
      ]
    })
    const [before, after] = await step(`${name}: ask`, async () => {
      const query = [{ prompt: fact.prompt, target: fact.targetNew }]
      const probability = async (asked) => Math.exp(Math.min(0, ...(await asked.score(query))[0].logProbs))
      const both = [await probability(model), await probability(model.withPatch(patch))]
      return [
        both,
        `least probable token of the target: ${both.map((p) => p.toExponential(1)).join(' before, ')} after`,
      ]
    })
    if (!(after > before)) throw new Error(`${name} did not make its target likelier`)
  }
  await model.close()
}

async function step(name, does) {
  process.send({ begin: name })
  const start = performance.now()
  const [result, note] = await does()
  process.send({ end: { seconds: Number(((performance.now() - start) / 1000).toFixed(2)), note } })
  return result
}

/** The settings given for a method. */
function ownSettings(method) {
  const own = options.set.map((text) => /^([^.]+)\.([^=]+)=(.*)$/.exec(text)).filter((match) => match?.[1] === method)
  return Object.fromEntries(own.map(([, , key, value]) => [key, Number(value)]))
}

/** The tokenizer of the tests' tiny model with words that nothing is cut into, up to the vocabulary's size, and random weights. */
async function writeCheckpoint(folder) {
  await mkdir(folder, { recursive: true })
  const tiny = new URL('test/golden/tiny-llama/', ROOT)
  const tokenizer = JSON.parse(await readFile(new URL('tokenizer.json', tiny), 'utf8'))
  const { vocab } = tokenizer.model
  for (let id = Object.keys(vocab).length; id < SHAPE.vocab_size; id++) vocab[`filler${id}`] = id
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer))
  const tensors = tensorsOf(SHAPE)
  const words = randomWords(1)
  const weightMap = {}
  let total = 0
  for (let shard = 0; shard < SHARDS; shard++) {
    const name = `model-0000${shard + 1}-of-0000${SHARDS}.safetensors`
    const own = tensors.filter((_, i) => Math.floor((i * SHARDS) / tensors.length) === shard)
    total += await writeShard(join(folder, name), own, words)
    for (const [tensor] of own) weightMap[tensor] = name
  }
  const index = { metadata: { total_size: total }, weight_map: weightMap }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
  // Last: a folder that has it is whole.
  await writeFile(join(folder, 'config.json'), JSON.stringify(SHAPE))
}

function tensorsOf(config) {
  const { hidden_size: D, intermediate_size: F, vocab_size: V, num_hidden_layers: L } = config
  const KV = (D / config.num_attention_heads) * config.num_key_value_heads
  const layer = (i) =>
    [
      ['input_layernorm', [D]],
      ['self_attn.q_proj', [D, D]],
      ['self_attn.k_proj', [KV, D]],
      ['self_attn.v_proj', [KV, D]],
      ['self_attn.o_proj', [D, D]],
      ['post_attention_layernorm', [D]],
      ['mlp.gate_proj', [F, D]],
      ['mlp.up_proj', [F, D]],
      ['mlp.down_proj', [D, F]],
    ].map(([name, shape]) => [`model.layers.${i}.${name}.weight`, shape])
  return [
    ['model.embed_tokens.weight', [V, D]],
    ...Array.from({ length: L }, (_, i) => layer(i)).flat(),
    ['model.norm.weight', [D]],
    ['lm_head.weight', [V, D]],
  ]
}

async function writeShard(file, tensors, words) {
  let end = 0
  const entries = tensors.map(([name, shape]) => {
    const start = end
    end += shape.reduce((product, size) => product * size, 2)
    return [name, { dtype: 'BF16', shape, data_offsets: [start, end] }]
  })
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const handle = await open(file, 'w')
  try {
    await handle.writeFile(Buffer.concat([length, json]))
    for (const [, shape] of tensors) {
      const count = shape.reduce((product, size) => product * size, 1)
      const numbers = new Uint16Array(count)
      // Norms are ones.
      if (shape.length === 1) numbers.fill(0x3f80)
      else fill(numbers, words)
      await handle.writeFile(new Uint8Array(numbers.buffer))
    }
  } finally {
    await handle.close()
  }
  return end
}

/** Random signs and fractions at magnitudes from 2^-7 to 2^-5: about 0.02, as models are initialised. */
function fill(numbers, next) {
  for (let i = 0; i < numbers.length; i++) {
    const bits = next()
    numbers[i] = ((bits & 1) << 15) | ((120 + ((bits >> 1) & 1)) << 7) | ((bits >>> 2) & 0x7f)
  }
}

/** Marsaglia 2003, xorshift32. */
function randomWords(seed) {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    // The high bits are the better ones.
    return state >>> 16
  }
}

function gib(bytes) {
  return `${(bytes / GIB).toFixed(2)} GiB`
}
