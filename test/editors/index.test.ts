import type { Editor } from '../../src/editors/editor.ts'
import { EDITORS } from '../../src/editors/index.ts'
import { describeEditor, type SuiteOptions } from '../support/editor-suite.ts'

const OPTIONS: Readonly<Record<string, SuiteOptions>> = {
  none: {
    skip: { 'makes the target likelier': 'it edits nothing', 'goes on from its history': 'it edits nothing' },
  },
  ike: {
    skip: {
      'makes the target likelier': 'random weights never learned to copy from a context',
      'goes on from its history': 'random weights never learned to copy from a context',
    },
  },
}

for (const editor of Object.values<Editor>(EDITORS)) describeEditor(editor, OPTIONS[editor.name])
