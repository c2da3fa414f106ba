/**
 * What every editor must keep, on tiny models: each editor's own test declares it. An editor may skip a case by its name, with a
 * reason that is printed, and may take settings that fit so small a model.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Context } from '../../src/context.ts'
import type { Editor, Hparams } from '../../src/editors/editor.ts'
import { type HparamValue, loadHparams } from '../../src/editors/hparams.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { Patch } from '../../src/models/patch.ts'
import { decodePatch, encodePatch } from '../../src/models/patch-file.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { FACTS, SHORT_FACTS, TEXT, TRAINING_FACTS } from './tiny-facts.ts'
import { openTinyModel, type TinyModel, testContext } from './tiny-model.ts'

/** A case of the suite. */
export type SuiteCase =
  | 'leaves the model as it is'
  | 'its patch survives a file'
  | 'makes the target likelier'
  | 'same seed, same patch'
  | 'goes on from its history'
  | 'takes as many facts as it says'
  | 'stops when told to'
  | 'prints nothing'

/** What an editor may have otherwise. */
export interface SuiteOptions {
  /** Cases that cannot hold, each with the reason. */
  readonly skip?: Partial<Record<SuiteCase, string>>
  /** Settings for a model of 4 layers and 32 numbers a token, where the published ones do not fit it. */
  readonly hparams?: Readonly<Record<string, HparamValue>>
  /** The models of test/golden to edit; default: one of each way a layer can be built. */
  readonly models?: readonly TinyModel[]
}

/** One of each way a layer can be built: the suite holds on all of them, with nothing said of any editor or model. */
export const MODELS: readonly TinyModel[] = [
  'tiny-llama',
  'tiny-gpt2',
  'tiny-gptj',
  'tiny-gpt-neox',
  'tiny-opt',
  'tiny-opt-post-norm',
  'tiny-qwen2',
  'tiny-qwen3',
  'tiny-gemma2-plain',
  'tiny-gemma3',
  'tiny-t5',
  'tiny-t5-gated',
]

/** What methods cannot show on such models that change nothing but what is asked. */
export const IN_CONTEXT: SuiteOptions['skip'] = {
  'makes the target likelier': 'random weights never learned to copy from a context',
  'goes on from its history': 'random weights never learned to copy from a context',
}

/** Declares the suite for one editor. */
export function describeEditor(editor: Editor, options: SuiteOptions = {}): void {
  for (const name of options.models ?? MODELS) describeOn(name, editor, options)
}

function describeOn(name: TinyModel, editor: Editor, options: SuiteOptions): void {
  const [fact, other] = FACTS
  let model: OpenModel
  let hparams: Hparams
  let prepared: unknown

  const edit = (facts: readonly Fact[], ctx: Context = testContext(), history: readonly Patch[] = []) =>
    editor.edit(
      {
        model: history.reduce((edited: LanguageModel, patch) => edited.withPatch(patch), model),
        facts,
        hparams,
        prepared,
        history,
      },
      ctx,
    )
  const check = (name: SuiteCase, body: () => Promise<void>) => {
    const reason = options.skip?.[name]
    test.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (skipped: ${reason})`, body)
  }

  describe(`${editor.name} on ${name}`, () => {
    beforeAll(async () => {
      model = await openTinyModel(name)
      hparams = await loadHparams(editor, model.config, options.hparams)
      const material = { text: TEXT, facts: TRAINING_FACTS }
      prepared = await editor.prepare?.({ model, hparams, material }, testContext())
    })
    afterAll(() => model.close())

    check('leaves the model as it is', async () => {
      const [id, before] = [model.id, await read(model)]
      await edit([fact])
      expect(model.id).toBe(id)
      expect(await read(model)).toEqual(before)
    })

    check('its patch survives a file', async () => {
      const patch = await edit([fact])
      const loaded = decodePatch(encodePatch(patch))
      expect(loaded).toEqual(patch)
      const [edited, reopened] = [model.withPatch(patch), model.withPatch(loaded)]
      expect(reopened.id).toBe(edited.id)
      expect(await read(reopened)).toEqual(await read(edited))
    })

    check('makes the target likelier', async () => {
      const [short] = SHORT_FACTS
      const edited = model.withPatch(await edit([short]))
      expect(await logProbability(edited, short)).toBeGreaterThan((await logProbability(model, short)) + 0.1)
    })

    check('same seed, same patch', async () => {
      const [one, two] = [createRandom(7), createRandom(7)]
      two.uniform()
      const patch = encodePatch(await edit([fact], testContext({ random: one })))
      expect(patch).toEqual(encodePatch(await edit([fact], testContext({ random: two }))))
    })

    check('goes on from its history', async () => {
      const [one, two] = SHORT_FACTS
      const first = await edit([one])
      const second = await edit([two], testContext(), [first])
      const [before, after] = [model.withPatch(first), model.withPatch(first).withPatch(second)]
      expect(await logProbability(after, two)).toBeGreaterThan((await logProbability(before, two)) + 0.1)
    })

    check('takes as many facts as it says', async () => {
      await expect(edit([])).rejects.toMatchObject({ code: 'E_NO_FACTS' })
      if (editor.batch === 'one') await expect(edit([fact, other])).rejects.toMatchObject({ code: 'E_BATCH' })
      else await expect(edit([fact, other])).resolves.toHaveProperty('parts')
    })

    check('stops when told to', async () => {
      const reason = new Error('stopped by the user')
      await expect(edit([fact], testContext({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason)

      const stop = new AbortController()
      let steps = 0
      const progress = () => {
        steps += 1
        stop.abort(reason)
      }
      const half = edit([fact], testContext({ signal: stop.signal, progress }))
      await half.catch((error: unknown) => expect(error).toBe(reason))
      expect(steps).toBeLessThanOrEqual(1)
    })

    check('prints nothing', async () => {
      const spies = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write'))
      try {
        await edit([fact])
        expect(spies.flatMap((spy) => spy.mock.calls)).toEqual([])
      } finally {
        for (const spy of spies) spy.mockRestore()
      }
    })
  })
}

/** What a model says in all three ways of asking. */
async function read(model: LanguageModel): Promise<unknown> {
  const scores = await model.score(FACTS.map(({ prompt, targetNew }) => ({ prompt, target: targetNew })))
  const texts = await model.generate(
    FACTS.map(({ prompt }) => prompt),
    { maxNewTokens: 5 },
  )
  const rows = [Int32Array.of(5, 6, 7)]
  const { reads } = await model.run({ tokens: { rows }, read: [{ site: 'logits', at: 'all' }] })
  return { scores, texts, logits: reads[0] }
}

/** Mean over the target's tokens, in nats. */
async function logProbability(model: LanguageModel, fact: Fact): Promise<number> {
  const [score] = await model.score([{ prompt: fact.prompt, target: fact.targetNew }])
  const values = score?.logProbs ?? []
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
