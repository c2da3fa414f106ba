import { describe, expect, test } from 'vitest'
import type { Context } from '../../src/context.ts'
import type { Editor } from '../../src/editors/editor.ts'
import { encodeRecords } from '../../src/evidence/journal.ts'
import { createMemoryGauge } from '../../src/evidence/memory.ts'
import { type Group, planItems } from '../../src/evidence/plan.ts'
import { areReadingsOf, askAll, readUnedited, timeExtraQuery } from '../../src/evidence/readings.ts'
import type { CaseReadings, JournalRecord, ProbeRecord } from '../../src/evidence/record.ts'
import { bytesOf, type LaneWork, runLane } from '../../src/evidence/run.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import { PROBES } from '../../src/probes/index.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { makeFacts, makeStubEditor, type StubHparams, stubAnswers } from '../support/stub-editor.ts'
import { makeStubModel, makeStubPatch } from '../support/stub-model.ts'

const FACTS = makeFacts(3)
/** Each fact in a group of its own. */
const alone = (facts: readonly Fact[]): Group[] => facts.map((fact) => ({ facts: [fact], cases: [fact.id] }))
const fail = () => {
  throw new Error('not here')
}
const EDITOR = makeStubEditor({ die: fail, exit: fail, hang: fail })
const QUIET: StubHparams = { wrong: 'never', at: '', delayMs: 0 }

interface Ran {
  readonly records: readonly JournalRecord[]
  readonly readings: readonly CaseReadings[]
  readonly groups: number
  readonly asked: readonly string[]
}

function contextOf(changes: Partial<Context> = {}): Context {
  let clock = 0
  return {
    random: createRandom(1),
    signal: new AbortController().signal,
    progress: () => {},
    cacheDir: '/nowhere',
    now: () => (clock += 1000),
    ...changes,
  }
}

async function run(
  changes: Partial<LaneWork> = {},
  ctx = contextOf(),
  editor = EDITOR as never as Editor,
): Promise<Ran> {
  const groups: (readonly JournalRecord[])[] = []
  const readings: CaseReadings[] = []
  const asked: string[] = []
  const memory = createMemoryGauge(() => 1000)
  await runLane(
    {
      model: makeStubModel({ answers: stubAnswers(3), asked }),
      editor,
      probes: Object.values(PROBES),
      memory,
      sink: {
        commit: async (records) => void groups.push(records),
        keepReadings: async (entry) => void readings.push(entry),
        begin: () => {},
      },
    },
    {
      hparams: QUIET,
      regime: 'single',
      groups: alone(FACTS),
      material: { text: null, facts: [] },
      isPrepared: false,
      readings: [],
      seed: 1,
      itemsPerProbe: 5,
      maxNewTokens: 16,
      ...changes,
    },
    ctx,
  ).finally(memory.stop)
  return { records: groups.flat(), readings, groups: groups.length, asked }
}

const probesOf = ({ records }: Ran, factId: string) =>
  records.filter((record): record is ProbeRecord => record.kind === 'probe' && record.factId === factId)

describe('a lane', () => {
  test('asks, judges and records every question of a case', async () => {
    const ran = await run()
    const rows = probesOf(ran, 'f0').map(({ probe, item, value, teacherForced, baseValue, reason }) => [
      probe,
      item,
      value,
      teacherForced,
      baseValue,
      reason,
    ])
    expect(rows).toEqual([
      ['reliability', 0, 1, 1, 0, undefined],
      ['generalization', 0, 0, 0, 0, undefined],
      ['neighbours', 0, 1, 1, null, undefined],
      ['one-hop', 0, 0, 0, 0, undefined],
      ['one-hop', 1, null, null, null, 'the data does not say which second fact it needs'],
    ])
    expect(probesOf(ran, 'f0')[0]).toMatchObject({
      method: 'stub',
      regime: 'single',
      prompt: 'The capital of Land0 is',
      targets: ['New0 Town'],
      base: { text: ' Old0 Town, they say.' },
      edited: { text: ' New0 Town.', logProbs: [-0.1, -0.1] },
    })
  })

  test('sends out records in groups that a journal takes, preparation first', async () => {
    const ran = await run()
    expect(ran.groups).toBe(4)
    expect(ran.records.slice(0, 2).map((record) => record.kind === 'cost' && record.cost)).toEqual([
      'memory',
      'prepare',
    ])
    expect(ran.records.filter(({ kind }) => kind === 'case').map(({ factId }) => factId)).toEqual(['f0', 'f1', 'f2'])
    expect(encodeRecords(ran.records).split('\n')).toHaveLength(ran.records.length + 1)
  })

  test('records what an edit costs', async () => {
    const { records } = await run()
    const costs = records.flatMap((record) =>
      record.kind === 'cost' && record.factId === 'f0' ? [[record.cost, record.value > 0, record.unit]] : [],
    )
    expect(costs).toEqual([
      ['query', false, 's'],
      ['edit', true, 's'],
      ['patch', true, 'bytes'],
      ['memory', true, 'bytes'],
    ])
  })

  test('asks the unedited model once for all methods', async () => {
    const first = await run()
    const second = await run({ readings: first.readings })
    expect(first.readings.map(({ factId }) => factId)).toEqual(['f0', 'f1', 'f2'])
    expect(second.readings).toEqual([])
    expect(second.asked.length).toBeLessThan(first.asked.length)
    expect(second.records).toEqual(first.records)
  })

  test('makes the same records whatever was done before', async () => {
    const whole = await run()
    const rest = await run({ groups: alone(FACTS.slice(1)), isPrepared: true })
    const later = whole.records.filter(({ factId }) => factId === 'f1' || factId === 'f2')
    expect(rest.records).toEqual(later)
  })

  test('without an edit keeps every neighbour', async () => {
    const [fact] = FACTS
    if (fact === undefined) throw new Error('no fact')
    const ran = await run({ groups: alone([{ ...fact, targetNew: 'Old0 Town' }]) })
    for (const { value, teacherForced } of probesOf(ran, 'f0').filter(({ criterion }) => criterion === 'locality')) {
      expect([value, teacherForced]).toEqual([1, 1])
    }
  })
})

describe('facts that are edited into one model', () => {
  /** What the method was called with, and the records. */
  async function runTogether(regime: string, batch: 'one' | 'many', changes: Partial<LaneWork> = {}) {
    const calls: { facts: string[]; patches: number; history: number }[] = []
    const editor: Editor = {
      ...(EDITOR as never as Editor),
      batch,
      edit: async (job, ctx) => {
        const { facts, model, history } = job
        calls.push({ facts: facts.map(({ id }) => id), patches: model.patches.length, history: history.length })
        await EDITOR.edit(job as never, ctx)
        const answers = facts.map((fact): [string, string] => [fact.prompt, ` ${fact.targetNew}.`])
        return makeStubPatch(Object.fromEntries(answers), { facts: facts.length })
      },
    }
    const groups = [{ facts: FACTS.toReversed(), cases: ['f0', 'f2'] }]
    return { calls, ...(await run({ regime, groups, ...changes }, contextOf(), editor)) }
  }
  const reliable = (ran: Ran) =>
    ran.records.flatMap((record) =>
      record.kind === 'probe' && record.probe === 'reliability' ? [[record.factId, record.regime, record.value]] : [],
    )

  test('come in one call where they come together and the method takes many', async () => {
    const ran = await runTogether('batch-3', 'many')
    expect(ran.calls).toEqual([{ facts: ['f2', 'f1', 'f0'], patches: 0, history: 0 }])
    expect(reliable(ran)).toEqual([
      ['f2', 'batch-3', 1],
      ['f0', 'batch-3', 1],
    ])
    // The clock moves on by a second whenever it is read: the call's one second is shared by three facts.
    expect(ran.records.filter((record) => record.kind === 'cost' && record.cost === 'edit')).toMatchObject([
      { factId: 'f2', value: 1 / 3 },
      { factId: 'f0', value: 1 / 3 },
    ])
  })

  test.each([
    ['stream-3', 'many'],
    ['batch-3', 'one'],
  ] as const)('come one after another in %s of a method that takes %s', async (regime, batch) => {
    const ran = await runTogether(regime, batch)
    expect(ran.calls).toEqual([
      { facts: ['f2'], patches: 0, history: 0 },
      { facts: ['f1'], patches: 1, history: 1 },
      { facts: ['f0'], patches: 2, history: 2 },
    ])
    expect(reliable(ran).map(([factId, , value]) => [factId, value])).toEqual([
      ['f2', 1],
      ['f0', 1],
    ])
  })

  test('each come to the unedited model in a stream with SimIE, which refuses a method that has no changes of weights', async () => {
    const ran = await runTogether('stream-3+simie', 'one')
    expect(ran.calls).toEqual(['f2', 'f1', 'f0'].map((id) => ({ facts: [id], patches: 0, history: 0 })))
    expect(reliable(ran)).toEqual([])
    expect(ran.records.filter(({ kind }) => kind === 'failure')).toMatchObject(
      ['f2', 'f0'].map((factId) => ({ factId, stage: 'edit', code: 'E_SIMIE', regime: 'stream-3+simie' })),
    )
  })

  test('go on after an edit that fails, from the model as it was', async () => {
    const ran = await runTogether('stream-3', 'one', { hparams: { ...QUIET, wrong: 'throws', at: 'f2' } })
    expect(ran.calls.map(({ patches, history }) => [patches, history])).toEqual([
      [0, 0],
      [0, 0],
      [1, 1],
    ])
    expect(ran.records.filter(({ kind }) => kind === 'failure')).toMatchObject([{ factId: 'f2', regime: 'stream-3' }])
    expect(reliable(ran)).toEqual([['f0', 'stream-3', 1]])
  })

  test('are asked about where they are cases, each in a group of records of its own', async () => {
    const ran = await runTogether('stream-3', 'one')
    expect(ran.records.filter(({ kind }) => kind === 'case').map(({ factId }) => factId)).toEqual(['f2', 'f0'])
    expect(ran.groups).toBe(3)
    expect(encodeRecords(ran.records).split('\n')).toHaveLength(ran.records.length + 1)
  })
})

describe('an edit that goes wrong is an outcome, and the lane goes on', () => {
  test.each<[StubHparams['wrong'], string, string]>([
    ['throws', 'E_NO_FACTS', 'Stub has nothing to edit'],
    ['bug', 'E_INTERNAL', 'undefined is not a fact'],
    ['nan', 'E_NOT_FINITE', 'norm: expected finite numbers, found NaN'],
  ])('%s', async (wrong, code, message) => {
    const { records } = await run({ hparams: { ...QUIET, wrong, at: 'f1' } })
    expect(records.filter(({ kind }) => kind === 'failure')).toEqual([
      {
        kind: 'failure',
        method: 'stub',
        regime: 'single',
        factId: 'f1',
        stage: 'edit',
        code,
        message: expect.stringContaining(message),
      },
    ])
    expect(records.filter(({ kind }) => kind === 'case')).toHaveLength(3)
    expect(records.some((record) => record.kind === 'probe' && record.factId === 'f1')).toBe(false)
  })

  test("a preparation that fails is the lane's only record", async () => {
    const { records } = await run({ hparams: { ...QUIET, wrong: 'throws', at: '' } })
    expect(records).toMatchObject([{ kind: 'failure', factId: null, stage: 'prepare', code: 'E_NO_FACTS' }])
  })
})

describe('what says nothing about the method ends the lane', () => {
  test('a full disk', async () => {
    await expect(run({ hparams: { ...QUIET, wrong: 'full', at: 'f1' } })).rejects.toMatchObject({ code: 'E_DISK_FULL' })
  })

  test('a stop, with the reason it was given', async () => {
    const stop = new AbortController()
    stop.abort(new Error('enough'))
    await expect(run({}, contextOf({ signal: stop.signal }))).rejects.toThrow('enough')
  })
})

describe('asking', () => {
  const asking = { maxNewTokens: 2, signal: new AbortController().signal }
  const question = { prompt: 'p', targets: ['one two three', 'x'] as const }

  test('leaves room for the longest target', async () => {
    const model = makeStubModel({ answers: { p: ' a b c d e f g h i' } })
    const [reading] = await askAll(model, [question], asking)
    expect(reading?.text).toBe(' a b c d e f g')
    expect(reading?.targetIds).toHaveLength(3)
    const [short] = await askAll(model, [{ prompt: 'p', targets: ['one'] }], { ...asking, maxNewTokens: 8 })
    expect(short?.text).toBe(' a b c d e f g h')
    expect(await askAll(model, [], asking)).toEqual([])
  })

  test('keeps with an answer that the steps to it failed', async () => {
    const model = makeStubModel({ answers: { p: ' a' } })
    const failing: LanguageModel = {
      ...model,
      generate: async (prompts, options) =>
        (await model.generate(prompts, options)).map((one) => ({ ...one, loopFailed: true as const })),
    }
    expect(await askAll(failing, [question], asking)).toMatchObject([{ text: ' a', loopFailed: true }])
    expect((await askAll(model, [question], asking))[0]).not.toHaveProperty('loopFailed')
  })

  test('refuses a model whose probabilities are no numbers', async () => {
    const model = makeStubModel({ answers: {} })
    const broken: LanguageModel = {
      ...model,
      score: async (queries) => (await model.score(queries)).map((score) => ({ ...score, logProbs: [0, Number.NaN] })),
    }
    await expect(askAll(broken, [question], asking)).rejects.toMatchObject({
      code: 'E_NOT_FINITE',
      message: expect.stringContaining('the answer to "p": expected finite numbers, found NaN'),
    })
  })

  test('knows the readings of other questions from its own', async () => {
    const [fact] = FACTS
    if (fact === undefined) throw new Error('no fact')
    const items = planItems(fact, Object.values(PROBES), 5, createRandom(1))
    const readings = await readUnedited(makeStubModel({ answers: stubAnswers(1) }), { fact, items }, asking)
    expect(readings.items.find(({ probe, item }) => probe === 'one-hop' && item === 0)?.required?.text).toBe(' Ann.')
    expect(areReadingsOf(readings, items)).toBe(true)
    expect(areReadingsOf(readings, items.slice(1))).toBe(false)
    expect(areReadingsOf({ ...readings, items: readings.items.map(({ required: _, ...rest }) => rest) }, items)).toBe(
      false,
    )
  })
})

describe('the extra time of a query', () => {
  const signal = new AbortController().signal
  /** Times answers with a clock that a model's answers move on. */
  async function time(baseMs: readonly number[], editedMs: readonly number[], lengths: [number, number] = [3, 3]) {
    let clock = 0
    const tokens: number[] = []
    const timed = (list: readonly number[], length: number): LanguageModel => {
      const left = [...list]
      return {
        ...makeStubModel({ answers: {} }),
        generate: async (_, { maxNewTokens }) => {
          clock += left.shift() ?? 0
          tokens.push(maxNewTokens)
          return [{ ids: new Array(Math.min(length, maxNewTokens)).fill(1), text: '' }]
        },
      }
    }
    const models = { base: timed(baseMs, lengths[0]), edited: timed(editedMs, lengths[1]) }
    const extra = await timeExtraQuery(models, 'p', { signal, now: () => clock })
    return { extra, tokens }
  }

  test.each([
    ['is the difference of the shortest times', [900, 100, 101, 102, 300, 400], [900, 140, 151, 192, 500, 139], 0.039],
    ['is nothing within the noise', [900, 100, 130, 140, 150, 100], [900, 120, 140, 125, 150, 150], 0],
    ['is never negative', [0, 100, 100, 100, 100, 100], [0, 50, 50, 50, 50, 50], 0],
  ])('%s', async (_, base, edited, seconds) => {
    expect((await time(base, edited)).extra).toBeCloseTo(seconds, 12)
  })

  test('compares answers of the same length', async () => {
    const { tokens } = await time([], [], [7, 1])
    expect(tokens).toEqual([2, 2, ...new Array(10).fill(1)])
  })
})

test('bytes of a patch are those of its numbers and texts', () => {
  expect(bytesOf([])).toBe(0)
  expect(bytesOf({ a: new Float32Array(3), b: 'é', c: [1, 2], d: null, e: true })).toBe(12 + 2 + 16)
  expect(bytesOf(makeStubPatch({}).parts)).toBeGreaterThan(0)
})
