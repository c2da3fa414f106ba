import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import ModelsTune from '../../../src/commands/models/tune.ts'
import type { RunInfo } from '../../../src/evidence/record.ts'
import type { FoundSites } from '../../../src/evidence/sites.ts'
import { findRun, readRun } from '../../../src/evidence/store.ts'
import { GOLDEN, temporaryFolder } from '../../support/model-files.ts'
import { type Outcome, runBin, runCommand, startBin } from '../../support/run-command.ts'

const MODEL = join(GOLDEN, 'tiny-llama')
const SUBJECTS = ['France', 'Spain', 'Italy', 'Japan', 'Kenya', 'Peru']
/** A sweep is four processes of the runtime one after another: on a busy machine each takes seconds to begin. */
const SLOW_MS = 120_000
const COMMON = ['--facts', 'facts.json', '--cases', '2']
const FACTS = SUBJECTS.map((subject, index) => ({
  subject,
  prompt: 'The capital of {} is',
  targetNew: `City${index}`,
  tests: {
    paraphrases: ['{} is ruled from'],
    neighbours: [{ prompt: 'The capital of Chile is', targets: ['Santiago'] }],
    // Portability says nothing about layers.
    oneHop: [{ prompt: 'The mayor of the capital of {} is', targets: ['Ann'] }],
  },
}))

function open(from?: string) {
  const cwd = temporaryFolder()
  if (from !== undefined) cpSync(from, cwd, { recursive: true })
  writeFileSync(join(cwd, 'facts.json'), JSON.stringify(FACTS))
  const where = { cwd, env: { XDG_CACHE_HOME: join(cwd, 'cache'), WHICHEDIT_JSON: undefined, CI: '1', COLUMNS: '120' } }
  const run = (...argv: string[]) => runBin(argv, where)
  const tune = (methods: string, ...more: string[]) =>
    run('models', 'tune', MODEL, '--for', methods, ...COMMON, ...more)
  /** In this process, for what begins no lane. */
  const here = (...argv: string[]) => runCommand(ModelsTune, argv, where)
  const probe = () => run('probe', '--model', MODEL, '--methods', 'ft-m', '--facts', 'facts.json', '--cases', '9')
  const probed = async (): Promise<RunInfo> => (await readRun(await findRun(join(cwd, '.whichedit', 'runs')))).info
  const sitesFile = (): string => {
    const [model = ''] = readdirSync(join(cwd, '.whichedit', 'sites'))
    return join(cwd, '.whichedit', 'sites', model, 'ft-m.json')
  }
  const read = (): FoundSites => JSON.parse(readFileSync(sitesFile(), 'utf8'))
  const show = (...more: string[]) => run('methods', 'show', 'ft-m', '--model', MODEL, ...more)
  return { cwd, where, run, tune, here, probe, probed, show, sitesFile, read }
}

/** A project in which a method was tuned, and what that printed. Tests work on copies of it. */
let tuned: ReturnType<typeof open>
let printed: Outcome
beforeAll(async () => {
  tuned = open()
  printed = await tuned.tune('ft-m')
}, SLOW_MS)

/** Makes another of the candidates the chosen one, as a sweep on another model would. */
function choose(file: string, layer: number): void {
  const found: FoundSites = JSON.parse(readFileSync(file, 'utf8'))
  writeFileSync(file, JSON.stringify({ ...found, sites: { layer } }, null, 2))
}

describe('models tune', { timeout: SLOW_MS }, () => {
  test('tries a few layers and keeps the best, with what was measured', async () => {
    const { cwd, read } = tuned
    const { exit, stdout, stderr } = printed
    expect(exit).toBe(0)
    expect(stderr).toMatch(
      /^Tries at most 5 candidates, each of which is prepared and edits 2 facts: 10 edits at most\.$/m,
    )
    expect(stderr).toMatch(/^ft-m: layer 3, layer 2, layer 1; 6 edits\.$/m)
    expect(stderr).toMatch(/^About .* to go\.$/m)
    expect(stdout).toMatch(/^LAYERS +FROM +RELIABILITY +GENERALIZATION +LOCALITY +MEAN +EDIT +FAILED\n/)
    expect(stdout.match(/^layer \d .*$/gm)).toHaveLength(3)
    // Random weights learn facts that they do not carry over.
    expect(stdout).toContain('None of them has a mean above 0')
    const found = read()
    expect(stdout).toContain(`ft-m: layer ${found.sites.layer} by 2 facts of facts.json; published: layer 3.\n`)
    expect(stdout).toMatch(/^In use from now on; \.whichedit\/sites\/[0-9a-f]{16}\/ft-m\.json has it\.$/m)
    expect(found).toMatchObject({ method: 'ft-m', seed: 0, traced: null, facts: { name: 'facts.json' } })
    expect(found.facts.subjects).toHaveLength(2)
    // Each candidate is a run like any other, beside those that rankings are made of.
    expect(existsSync(join(cwd, '.whichedit', 'runs'))).toBe(false)
    for (const { run, sites, rates } of found.candidates) {
      const { info, records } = await readRun(join(cwd, '.whichedit', 'sweeps', run))
      expect(info.methods).toMatchObject([{ name: 'ft-m', hparams: sites }])
      expect(new Set(info.probes.map(({ criterion }) => criterion))).toEqual(
        new Set(['reliability', 'generalization', 'locality']),
      )
      const asked = records.flatMap((one) =>
        one.kind === 'probe' && one.criterion === 'reliability' ? [one.value] : [],
      )
      expect(rates.reliability).toBe(((asked[0] ?? 0) + (asked[1] ?? 0)) / 2)
    }
  })

  test('what it found is used from then on, by other runs and for other facts', async () => {
    const { probe, probed, show, read, sitesFile } = open(tuned.cwd)
    choose(sitesFile(), 1)
    const { stderr } = await probe()
    const info = await probed()
    expect(info.methods[0]?.hparams.layer).toBe(1)
    expect(stderr).toMatch(/^ft-m: layer 1, found on \d{4}-\d\d-\d\d\.$/m)
    // Of six facts two have chosen the layer.
    const { cases } = read().facts
    expect([cases.length, info.data.cases.length]).toEqual([2, 4])
    expect(info.data.cases.filter((id) => cases.includes(id))).toEqual([])
    const shown = (await show()).stdout
    expect(shown).toMatch(/^layer +1 +found here, \d{4}-\d\d-\d\d +layer whose/m)
    expect(shown).toMatch(/^learningRate +0\.0005 +default +learning rate/m)
    expect(shown).toMatch(/^Tried for tiny-llama on \d{4}-\d\d-\d\d by 2 facts of facts\.json, and in use\.$/m)
    expect(shown).toMatch(/^layer 1 .* chosen$/m)
    const { settings, sites } = JSON.parse((await show('--json')).stdout)
    expect(settings[0]).toMatchObject({ name: 'layer', value: 1, origin: 'found' })
    expect(sites).toMatchObject({ isCurrent: true, found: { sites: { layer: 1 } } })
  })

  test('what an older version of the method was tuned for is told, and not used', async () => {
    const { probe, probed, show, sitesFile } = open(tuned.cwd)
    choose(sitesFile(), 1)
    writeFileSync(sitesFile(), readFileSync(sitesFile(), 'utf8').replace(/"version": \d+/, '"version": 0'))
    const { stderr } = await probe()
    const { methods, data } = await probed()
    expect([methods[0]?.hparams.layer, data.cases.length]).toEqual([3, 6])
    expect(stderr).toContain('ft-m: layers found for an older version of it are not used')
    expect((await show()).stdout).toContain('for an older version of the method')
  })

  test('a file that was damaged is refused with its place; tuning again mends it from what was measured', async () => {
    const { tune, probe, show, sitesFile } = open(tuned.cwd)
    const whole = readFileSync(sitesFile(), 'utf8')
    writeFileSync(sitesFile(), whole.replace(/"layer": \d/, '"layer": "three"'))
    const { exit, stderr } = await probe()
    expect(exit).toBe(2)
    expect(stderr).toMatch(
      /^E_SITES {2}.*ft-m\.json:\d+:\d+: expected a number, found "three"\n.*remove it and tune again/m,
    )
    expect(await show()).toMatchObject({ exit: 2, stdout: '' })
    const again = await tune('ft-m')
    expect(again).toMatchObject({ exit: 0 })
    expect(again.stderr).not.toMatch(/opening the model|to go/)
    expect(readFileSync(sitesFile(), 'utf8')).toBe(whole)
  })

  test('stopped, it ends with 130 and goes on where it was', async () => {
    const { cwd, where, tune, read } = open()
    const { child, promise } = startBin(['models', 'tune', MODEL, '--for', 'ft-m', ...COMMON], where)
    const sweeps = join(cwd, '.whichedit', 'sweeps')
    const journals = (): string[] =>
      (existsSync(sweeps) ? readdirSync(sweeps) : []).flatMap((id) => {
        const file = join(sweeps, id, 'journal.jsonl')
        return existsSync(file) ? [readFileSync(file, 'utf8')] : []
      })
    while (!journals().some((text) => text.includes('"kind":"case"'))) await sleep(20)
    child.kill('SIGINT')
    const stopped = await promise
    expect(stopped.exit).toBe(130)
    expect(stopped.stderr).toMatch(/Saved [1-5] of 6 cases; run the same command to go on\./)
    expect(existsSync(join(cwd, '.whichedit', 'sites'))).toBe(false)
    const kept = journals()
    expect((await tune('ft-m')).exit).toBe(0)
    for (const text of kept) expect(journals().some((now) => now.startsWith(text))).toBe(true)
    const comparable = ({ candidates, facts, sites }: FoundSites) => {
      return { facts, sites, candidates: candidates.map(({ editS: _, ...one }) => one) }
    }
    expect(comparable(read())).toEqual(comparable(tuned.read()))
  })

  test('says why a method has nothing to choose', async () => {
    const { exit, stdout } = await open().here(MODEL, '--for', 'none,lora', ...COMMON)
    expect([exit, stdout]).toEqual([0, 'none: it has no layer to choose.\nlora: it has no layer to choose.\n'])
  })

  test('tells why a method found nothing and ends with 1', async () => {
    const { exit, stdout } = await open().here(MODEL, '--for', 'ft-m', ...COMMON, '--max-memory', '1 MB', '--json')
    expect(exit).toBe(1)
    expect(JSON.parse(stdout).tuned).toEqual([
      { method: 'ft-m', failure: { code: 'E_MEMORY', message: expect.stringMatching(/^FT-M: /) } },
    ])
  })

  test.each([
    ['no method', [MODEL], 2, /Missing required flag for/],
    ['a method that there is not', [MODEL, '--for', 'rom'], 2, /Did you mean "rome"\?/],
    ['a model that there is not', ['./nowhere', '--for', 'rome'], 66, /no model/],
  ])('refuses %s', async (_, argv, code, message) => {
    const { exit, stderr } = await open().here(...argv)
    expect(exit).toBe(code)
    expect(stderr).toMatch(message)
  })

  test('refuses facts about one subject: none would be left to try methods on', async () => {
    const { cwd, here } = open()
    writeFileSync(join(cwd, 'facts.json'), JSON.stringify(FACTS.slice(0, 1)))
    const { exit, stderr } = await here(MODEL, '--for', 'ft-m', ...COMMON)
    expect(exit).toBe(2)
    expect(stderr).toMatch(/^E_SITE_FACTS {2}facts\.json: expected facts about two subjects at least/m)
  })
})
