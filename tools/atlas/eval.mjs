/**
 * Measures the model that ships, by greedy free generation judged as the product's probes judge, and writes its card.
 *
 *   npm run atlas:eval                measures and prints the card's tables
 *     --locked                        opens the locked wordings: once, when the training is done
 *     --model FOLDER                  another training's result
 *     --sample N                      at most so many facts a relation, for a first look
 *     --parts abilities,trace,edits   only these
 *     --facts world:prepare           edits these, for choosing settings
 *     --methods a,b --cases N --set rome.layer=3
 *     --out FILE                      all numbers as JSON
 *     --write-card                    puts the tables into models/atlas/README.md
 */
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createRandom, loadModel } from '../../dist/index.js'
import { describeMachine, putBetween, today } from '../published.mjs'
import { measureAbilities, tellAbilities } from './eval/abilities.mjs'
import { measureEdits, tellEdits } from './eval/edits.mjs'
import { measureTrace, tellTrace } from './eval/trace.mjs'
import { readWorld } from './eval/world.mjs'

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'atlas' },
    locked: { type: 'boolean', default: false },
    sample: { type: 'string' },
    parts: { type: 'string', default: 'abilities,trace,edits' },
    cases: { type: 'string', default: '30' },
    methods: { type: 'string' },
    facts: { type: 'string', default: 'world:probe' },
    set: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
    'write-card': { type: 'boolean', default: false },
  },
})
const CARD = fileURLToPath(new URL('../../models/atlas/README.md', import.meta.url))
const PARTS = {
  abilities: { measure: measureAbilities, tell: tellAbilities },
  trace: { measure: measureTrace, tell: tellTrace },
  edits: { measure: measureEdits, tell: tellEdits },
}

const ctx = {
  random: createRandom(options.seed),
  signal: new AbortController().signal,
  progress: () => {},
  cacheDir: join(tmpdir(), 'whichedit-atlas'),
  now: () => performance.now(),
}
// So small a model gains nothing from more threads.
const model = await loadModel(options.model, { hubCache: '' }, ctx, { threads: 1 })
try {
  const world = await readWorld({
    sample: options.sample === undefined ? Number.POSITIVE_INFINITY : Number(options.sample),
    random: ctx.random,
  })
  const report = {
    date: today(),
    machine: describeMachine(),
    node: process.versions.node,
    seed: options.seed,
    modelId: model.id,
  }
  for (const part of options.parts.split(',')) {
    report[part] = await PARTS[part].measure({ model, world, options, ctx })
    const text = PARTS[part].tell(report[part])
    console.log(`\n## ${part}\n\n${text}`)
    const heading = `${report.machine}, Node ${report.node}, ${report.date}, seed ${report.seed}.`
    if (options['write-card']) await putBetween(CARD, part.toUpperCase(), `${heading}\n\n${text}\n`)
  }
  if (options.out) await writeFile(options.out, `${JSON.stringify(report, null, 1)}\n`)
} finally {
  await model.close()
}
