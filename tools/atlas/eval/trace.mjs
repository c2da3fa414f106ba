/** Where facts are recalled: causal tracing, averaged over facts that the model knows. */
import { embeddingDeviation, TRACED_SITES, traceFact } from '../../../dist/editors/steps/causal-trace.js'
import { chooseCases } from '../../../dist/facts/cases.js'
import { readFacts } from '../../../dist/facts/index.js'
import { percent, table } from './table.mjs'

const FACTS = 40
/** ν / σ and draws, as in the paper and its code. */
const NOISE = 3
const SAMPLES = 10
/** A fact whose answer the noise does not take away says nothing about what brings it back. */
const LEAST_LOSS = 0.2

export async function measureTrace({ model, ctx }) {
  const { facts } = await readFacts('world:prepare')
  const cases = chooseCases(facts, 4 * FACTS, ctx.random.stream('trace'))
  const scores = await model.score(cases.map(({ prompt, targetOld }) => ({ prompt, target: targetOld })))
  const known = cases.filter((_, i) => scores[i].ids.every((id, t) => id === scores[i].argmax[t])).slice(0, FACTS)
  const traced = known.map(({ prompt, subjectSpan, targetOld }) => ({ prompt, subjectSpan, answer: targetOld }))
  const settings = { deviation: await embeddingDeviation(model, traced), noise: NOISE, samples: SAMPLES }
  const traces = []
  for (const fact of traced) {
    const trace = await traceFact({ model, fact, settings }, ctx)
    if (trace.clean - trace.corrupted >= LEAST_LOSS) traces.push(trace)
    process.stderr.write(`\rtrace ${traces.length}   `)
  }
  process.stderr.write('\n')
  const { layers } = model.config
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  const restored = (site, layer, place) =>
    mean(
      traces.map(({ tokens, subject, clean, corrupted, restored: found }) => {
        const token = place === 'subject' ? subject[1] : tokens.length - 1
        return (found[site].data[layer * tokens.length + token] - corrupted) / (clean - corrupted)
      }),
    )
  const shares = Object.fromEntries(
    TRACED_SITES.map((site) => [
      site,
      Object.fromEntries(
        ['subject', 'last'].map((place) => [place, Array.from({ length: layers }, (_, l) => restored(site, l, place))]),
      ),
    ]),
  )
  return {
    facts: traces.length,
    clean: mean(traces.map(({ clean }) => clean)),
    corrupted: mean(traces.map(({ corrupted }) => corrupted)),
    settings,
    shares,
  }
}

export function tellTrace({ facts, clean, corrupted, settings, shares }) {
  const names = { 'block-output': 'residual stream', 'mlp-output': 'feed-forward', 'attention-output': 'attention' }
  const places = { subject: "the subject's last token", last: 'the last token' }
  const layers = shares['block-output'].subject.map((_, layer) => `layer ${layer}`)
  const rows = Object.entries(names).flatMap(([site, name]) =>
    Object.entries(places).map(([place, where]) => [`${name}, ${where}`, ...shares[site][place].map(percent)]),
  )
  const about = `${facts} facts of \`world:prepare\`; noise of ${settings.noise} σ, ${settings.samples} draws. The answer's probability is ${percent(clean)} % clean, ${percent(corrupted)} % with noise; the table says how much of the difference one restored activation brings back, in percent.`
  return `${about}\n\n${table(['restored', ...layers], rows)}`
}
