/** Where facts are recalled: causal tracing, averaged over facts that the model knows. */
import {
  averageTraces,
  embeddingDeviation,
  proposeLayers,
  TOKEN_ROLES,
  traceFact,
  windowFor,
} from '../../../dist/editors/steps/causal-trace.js'
import { keepKnownFacts } from '../../../dist/evidence/known-facts.js'
import { chooseCases } from '../../../dist/facts/cases.js'
import { readFacts } from '../../../dist/facts/index.js'
import { percent, table } from './table.mjs'

/** ν / σ and draws, as in the paper and its code. */
const NOISE = 3
const SAMPLES = 10
const SITES = { 'block-output': 'residual stream', 'mlp-output': 'feed-forward', 'attention-output': 'attention' }
const PLACES = ['last subject token', 'last token']

export async function measureTrace({ model, options, ctx }) {
  const most = Number(options.cases)
  const { facts } = await readFacts('world:prepare')
  const cases = chooseCases(facts, 4 * most, ctx.random.stream('trace'))
  const known = (await keepKnownFacts(model, cases)).slice(0, most)
  const traced = known.map(({ prompt, subjectSpan, targetOld }) => ({ prompt, subjectSpan, answer: targetOld }))
  const settings = {
    deviation: await embeddingDeviation(model, traced),
    noise: NOISE,
    samples: SAMPLES,
    window: windowFor(model.config),
  }
  const traces = []
  for (const fact of traced) {
    traces.push(await traceFact({ model, fact, settings }, ctx))
    process.stderr.write(`\rtrace ${traces.length}/${traced.length}   `)
  }
  process.stderr.write('\n')
  const average = averageTraces(traces)
  return { ...average, settings, proposed: proposeLayers(average) }
}

export function tellTrace({ facts, clean, corrupted, settings, shares, proposed }) {
  const layers = shares['block-output'].map((_, layer) => `layer ${layer}`)
  const rows = Object.entries(SITES).flatMap(([site, name]) =>
    PLACES.map((place) => [
      `${name}, ${place}`,
      ...shares[site].map((roles) => percent(roles[TOKEN_ROLES.indexOf(place)])),
    ]),
  )
  const [first, last] = proposed.range
  return [
    `${facts} facts of \`world:prepare\`; noise of ${settings.noise} σ, ${settings.samples} draws. The whole answer's probability is ${percent(clean)} % clean and ${percent(corrupted)} % with noise; the table says how much of the difference one restored activation brings back, in percent.`,
    table(['restored', ...layers], rows),
    `The feed-forward at the subject's last token peaks at layer ${proposed.peak}${first === last ? '' : `; layers ${first} to ${last} bring back at least half as much`}.`,
  ].join('\n\n')
}
