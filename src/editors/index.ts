/** All editing methods, by the word a user types. To add one: its file, its settings in `hparams/`, a line here. */
import { alphaedit } from './alphaedit.ts'
import { calinet } from './calinet.ts'
import type { Editor } from './editor.ts'
import { emmet } from './emmet.ts'
import { ftL } from './ft-l.ts'
import { ftM } from './ft-m.ts'
import { grace } from './grace.ts'
import { ike } from './ike.ts'
import { ke } from './ke.ts'
import { kn } from './kn.ts'
import { lora } from './lora.ts'
import { mello } from './mello.ts'
import { melo } from './melo.ts'
import { memit } from './memit.ts'
import { memprompt } from './memprompt.ts'
import { mend } from './mend.ts'
import { none } from './none.ts'
import { pmet } from './pmet.ts'
import { rRome } from './r-rome.ts'
import { rome } from './rome.ts'
import { scr } from './scr.ts'
import { serac } from './serac.ts'
import { tPatcher } from './t-patcher.ts'
import { ultraedit } from './ultraedit.ts'
import { wise } from './wise.ts'

/** The editors, by name. */
export const EDITORS = {
  none,
  'ft-l': ftL,
  'ft-m': ftM,
  lora,
  kn,
  rome,
  'r-rome': rRome,
  memit,
  pmet,
  emmet,
  alphaedit,
  ultraedit,
  ke,
  mend,
  grace,
  't-patcher': tPatcher,
  calinet,
  wise,
  melo,
  ike,
  memprompt,
  mello,
  scr,
  serac,
} satisfies Record<string, Editor>
