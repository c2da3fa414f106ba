/** `profile new`: writes a profile with comments, begun from another and changed as flags or answers say. */
import { Args, Flags } from '@oclif/core'
import { printable } from '../../printable.ts'
import { parseProfile, readProfile } from '../../scoring/profile.ts'
import { editSettings } from '../../settings.ts'
import { createAsker } from '../support/asker.ts'
import { BaseCommand } from '../support/base.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { hasPriorities, PROFILE_FLAGS, profileChanges } from '../support/profile-flags.ts'
import { DEFAULT_PROFILE, listProfiles, loadProfile, PROJECT_PROFILE, writeProfile } from '../support/profiles.ts'
import { type Answers, askProfile } from '../support/wizard.ts'

/** Makes a profile. */
export default class ProfileNew extends BaseCommand {
  static override summary = 'Write a profile of your own, with comments, begun from another one.'
  static override description =
    'On a terminal it asks for what no flag gives. An existing file is kept unless --force is given.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> mine.yaml --from few-precise-edits --weights reliability=50,locality=50',
  ]
  static override args = {
    file: Args.string({ default: PROJECT_PROFILE, description: 'the file to write' }),
  }
  static override flags = {
    from: Flags.string({ helpValue: 'NAME|FILE', description: 'the profile to begin with' }),
    title: Flags.string({ helpValue: 'TEXT', description: 'one line for people' }),
    force: Flags.boolean({ description: 'write over an existing file' }),
    ...PROFILE_FLAGS,
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ProfileNew)
    const { profile: from, ...answers } = await this.fill(args.file, { ...flags, profile: flags.from })
    const base = await loadProfile(from ?? DEFAULT_PROFILE, this.config, profileChanges(answers))
    const title = flags.title ?? `My ${base.profile.title.toLowerCase()}`
    const text = editSettings(base.text, [{ path: ['title'], value: title }], args.file)
    await parseProfile(text, args.file)
    await writeProfile(args.file, text, flags.force)
    this.log(`Wrote ${printable(args.file)}. \`whichedit rank --profile ${printable(args.file)}\` ranks by it.`)
    return { schemaVersion: SCHEMA_VERSION, file: args.file, from: base.name, title }
  }

  /** Asks for what flags leave open, where somebody is there to answer. */
  private async fill(file: string, given: Partial<Answers>): Promise<Partial<Answers>> {
    if (!this.interactive() || given.profile !== undefined || hasPriorities(given)) return given
    const presets = await Promise.all(
      (await listProfiles(this.config))
        .filter(({ source }) => source === 'built-in')
        .map(async ({ name, file }) => ({ name, profile: await readProfile(file) })),
    )
    const asker = await createAsker({ input: process.stdin, output: process.stderr })
    const { unicode } = this.display()
    const answers = await askProfile(asker, { ...given, save: file }, { models: [], facts: [], presets, unicode })
    return { ...given, ...answers }
  }
}
