/**
 * Preparations made ahead of a run: each method in a process of its own, as a run would make them, so that they lie in the cache when
 * one asks for them, with what they cost. What is made is the editors' business, and so is going on where it was stopped.
 */
import type { WhicheditError } from '../errors.ts'
import type { LaneEvent, LanesRequest } from './lanes.ts'
import type { CostRecord, FailureRecord, MethodInfo } from './record.ts'
import { describeLoss, superviseLane } from './supervise.ts'

/** What preparing needs: what carrying out a plan does, without a place for evidence. */
export type PreparingRequest = Omit<LanesRequest, 'store' | 'sharing'> & {
  /** Methods that cannot be prepared, and why. */
  readonly unfit: ReadonlyMap<string, WhicheditError>
}

/** What became of a method's preparation. */
export type PreparedMethod = { readonly method: string } & (
  | { readonly seconds: number; readonly peakBytes: number }
  | { readonly failure: { readonly code: string; readonly message: string } }
)

/**
 * Prepares the methods of a plan, one after another; those that fail hold no other up.
 * @throws the signal's reason when stopped; what a lane throws that is no outcome of its method
 */
export async function prepareMethods(request: PreparingRequest): Promise<PreparedMethod[]> {
  const prepared: PreparedMethod[] = []
  for (const method of request.plan.info.methods) {
    request.signal.throwIfAborted()
    const unfit = request.unfit.get(method.name)
    prepared.push(unfit === undefined ? await prepareMethod(request, method) : failed(method.name, unfit))
  }
  return prepared
}

async function prepareMethod(request: PreparingRequest, { name, title, hparams }: MethodInfo): Promise<PreparedMethod> {
  const { plan, model, chat, memoryBytes, places, cacheDir, entry, signal, report } = request
  const tell = (stage: LaneEvent['stage'], step?: LaneEvent['step']): void => {
    const done = stage === 'end' ? 1 : 0
    report({ method: name, stage, done, total: 1, rates: {}, failures: 0, ...(step === undefined ? {} : { step }) })
  }
  const { seed, itemsPerProbe, maxNewTokens } = plan.info.settings
  const [regime = ''] = plan.info.regimes
  const asking = { seed, itemsPerProbe, maxNewTokens, isPrepared: false, readings: [] }
  const work = { hparams, regime, groups: [], material: plan.material, ...asking }
  const costs: CostRecord[] = []
  const failures: FailureRecord[] = []
  tell('open')
  const order = { method: name, probes: [], model, chat, memoryBytes, session: {}, places, cacheDir, work }
  const end = await superviseLane(order, {
    entry,
    signal,
    async take(message) {
      if (message.kind === 'begin') tell('prepare')
      if (message.kind === 'step') tell('prepare', message.step)
      if (message.kind !== 'records') return
      for (const record of message.records) {
        if (record.kind === 'cost') costs.push(record)
        if (record.kind === 'failure') failures.push(record)
      }
    },
  })
  signal.throwIfAborted()
  tell('end')
  const [failure] = failures
  if (failure !== undefined) return failed(name, failure)
  if (end.kind === 'died') return failed(name, describeLoss(title, end))
  const costOf = (cost: CostRecord['cost']): number => costs.find((record) => record.cost === cost)?.value ?? 0
  return { method: name, seconds: costOf('prepare'), peakBytes: costOf('memory') }
}

function failed(
  method: string,
  { code, message }: { readonly code: string; readonly message: string },
): PreparedMethod {
  return { method, failure: { code, message } }
}
