/** The forms of a report, by name. A new form is one file and one line here. */
import { renderJson } from './json.ts'
import { renderMarkdown } from './markdown.ts'
import type { Report } from './report.ts'
import { renderTable } from './table.ts'

/** Every form of a report. */
export const REPORTS = {
  table: renderTable,
  json: renderJson,
  markdown: renderMarkdown,
} as const satisfies Record<string, Report>
