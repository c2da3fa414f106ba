/** The layers that a method with several works on: from one to another, both included. */
import { WhicheditError } from '../../errors.ts'
import type { Editor, HparamSpec } from '../editor.ts'

/** What a method over several layers lets a user set. */
export type LayerRangeHparams = { readonly firstLayer: number; readonly lastLayer: number }

/** What those settings mean. */
export const LAYER_RANGE_HPARAMS: HparamSpec<LayerRangeHparams> = {
  firstLayer: {
    meaning: 'first of the layers whose down-projections are changed',
    unit: 'layer',
    reference: 'first of layers',
  },
  lastLayer: {
    meaning: 'last of them, at which the value is sought',
    unit: 'layer',
    reference: 'last of layers',
  },
}

/** The layers of the range, in order. @throws E_HPARAM where the last comes before the first. */
export function listLayers(editor: Pick<Editor, 'name'>, { firstLayer, lastLayer }: LayerRangeHparams): number[] {
  if (lastLayer < firstLayer) {
    const expected = `layer ${firstLayer}, the first, or one after it`
    throw new WhicheditError('E_HPARAM', { method: editor.name, setting: 'lastLayer', expected, found: lastLayer })
  }
  return Array.from({ length: lastLayer - firstLayer + 1 }, (_, i) => firstLayer + i)
}
